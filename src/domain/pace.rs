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

/// How far a reading is, for people.
#[must_use]
pub fn read(bytes: u64, total: Option<u64>, elapsed_ms: u64) -> String {
    // What grows while it is read has no end that could be told.
    let total = total.filter(|total| *total > bytes);
    let of = total.map_or_else(String::new, |total| format!(" of {}", total >> MIB));
    let left = total.and_then(|total| seconds_left(bytes, total - bytes, elapsed_ms));
    let left = left.map_or_else(String::new, |left| format!(", {}", about(left)));
    let rate = per_second(bytes, elapsed_ms) >> MIB;
    format!("{}{of} MiB read, {rate} MiB/s{left}", bytes >> MIB)
}

/// How far the closing of a room is, for people; empty when there is nothing to tell yet.
#[must_use]
pub fn closing(bytes: u64, per_second: u64, seconds_left: Option<u64>) -> String {
    let stored = (bytes >> MIB > 0).then(|| format!("{} MiB archived, {} MiB/s", bytes >> MIB, per_second >> MIB));
    let parts: Vec<String> = stored.into_iter().chain(seconds_left.map(about)).collect();
    parts.join(", ")
}

/// Bytes a second.
#[must_use]
pub fn per_second(bytes: u64, elapsed_ms: u64) -> u64 {
    let rate = u128::from(bytes) * 1_000 / u128::from(elapsed_ms.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The power of two that a mebibyte is.
const MIB: u32 = 20;

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
    fn a_reading_tells_what_is_left_when_that_is_known() {
        let mib = |n: u64| n << 20;
        assert_eq!(read(mib(30), None, 2_000), "30 MiB read, 15 MiB/s");
        assert_eq!(
            read(mib(30), Some(mib(6_030)), 2_000),
            "30 of 6030 MiB read, 15 MiB/s, about 7 min left"
        );
        assert_eq!(read(mib(30), Some(mib(20)), 2_000), "30 MiB read, 15 MiB/s");
        assert_eq!(read(0, Some(mib(20)), 0), "0 of 20 MiB read, 0 MiB/s");
    }

    #[test]
    fn a_closing_tells_what_it_knows() {
        assert_eq!(closing(5, 5, None), "");
        assert_eq!(closing(5, 5, Some(90)), "about 2 min left");
        assert_eq!(
            closing(7 << 20, 3 << 20, Some(90)),
            "7 MiB archived, 3 MiB/s, about 2 min left"
        );
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
