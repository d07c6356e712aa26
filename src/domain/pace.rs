//! How long something will still take, judged by how long its first part took. Pure.

/// Seconds that `left` things will take when `done` alike took `elapsed_ms`; none as long as that cannot be told.
#[must_use]
pub fn seconds_left(done: u64, left: u64, elapsed_ms: u64) -> Option<u64> {
    if done == 0 {
        return None;
    }
    let ms = u128::from(elapsed_ms) * u128::from(left) / u128::from(done);
    Some(u64::try_from(ms.div_ceil(1000)).unwrap_or(u64::MAX))
}

/// The same for people. Coarse on purpose: it is an estimate, and each new wording is a new line in a pipe.
#[must_use]
pub fn about(seconds: u64) -> String {
    let minutes = seconds.div_ceil(60);
    match minutes {
        0 | 1 => "less than a minute left".to_owned(),
        2..=10 => format!("about {minutes} min left"),
        11..=120 => format!("about {} min left", minutes.div_ceil(5) * 5),
        _ => format!("about {} h left", minutes.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_what_was_done() {
        assert_eq!(seconds_left(0, 10, 5_000), None);
        assert_eq!(seconds_left(5, 10, 5_000), Some(10));
        assert_eq!(seconds_left(3, 0, 5_000), Some(0));
        assert_eq!(seconds_left(1, u64::MAX, u64::MAX), Some(u64::MAX));
    }

    #[test]
    fn estimates_are_coarse() {
        let said = [0, 60, 61, 600, 601, 7_200, 7_201].map(about);
        let expected = [
            "less than a minute left",
            "less than a minute left",
            "about 2 min left",
            "about 10 min left",
            "about 15 min left",
            "about 120 min left",
            "about 3 h left",
        ];
        assert_eq!(said, expected);
    }
}
