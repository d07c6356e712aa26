//! Figures in the units that people read. Pure formatting.

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// From this much on, a mebibyte figure is shown in gibibytes: four digits do not fit the columns.
const GIB_FROM: u64 = 1000 * MIB;

fn unit_of(bytes: u64) -> (u64, &'static str) {
    match bytes {
        b if b >= 1000 * GIB => (TIB, "TiB"),
        b if b >= GIB_FROM => (GIB, "GiB"),
        b if b >= 1000 * KIB || b == 0 => (MIB, "MiB"),
        _ => (KIB, "KiB"),
    }
}

fn in_unit(bytes: u64, unit: u64, whole: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with at most four digits")]
    let value = bytes as f64 / unit as f64;
    if unit >= GIB && whole < 10 * unit {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// An amount of bytes, such as `412 MiB` or `1.5 GiB`.
#[must_use]
pub fn bytes(amount: u64) -> String {
    let (unit, name) = unit_of(amount);
    format!("{} {name}", in_unit(amount, unit, amount))
}

/// The size of a file, which may be far below a kibibyte.
#[must_use]
pub fn size(amount: u64) -> String {
    if amount < 1000 {
        format!("{amount} B")
    } else {
        bytes(amount)
    }
}

/// A part of a whole in the whole's unit, such as `412/512 MiB`.
#[must_use]
pub fn bytes_of(part: u64, whole: u64) -> String {
    let (unit, name) = unit_of(whole);
    format!("{}/{} {name}", in_unit(part, unit, whole), in_unit(whole, unit, whole))
}

/// Time left, such as `1h 02m`, `58m`, `4m 05s`, `12s` or `ended`.
#[must_use]
pub fn left(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600, seconds / 60);
    match seconds {
        0 => "ended".to_owned(),
        s if s < 60 => format!("{s}s"),
        s if s < 600 => format!("{minutes}m {:02}s", s % 60),
        s if s < 3600 => format!("{minutes}m"),
        s if s < 86_400 => format!("{hours}h {:02}m", s % 3600 / 60),
        s => format!("{days}d {:02}h", s % 86_400 / 3600),
    }
}

/// Percent of one core, in at most five cells.
#[must_use]
pub fn percent(value: f32) -> String {
    match value {
        v if !v.is_finite() => "-".to_owned(),
        v if v.abs() < 999.95 => format!("{v:.1}"),
        v => format!("{:.0}", v.clamp(-9999.0, 99_999.0)),
    }
}

/// `1 seat`, `2 seats`.
#[must_use]
pub fn count(n: usize, one: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {one}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_stay_short() {
        assert_eq!(bytes_of(412 * MIB, 512 * MIB), "412/512 MiB");
        assert_eq!(bytes_of(410 * MIB, GIB), "0.4/1.0 GiB");
        assert_eq!(bytes_of(12 * GIB, 64 * GIB), "12/64 GiB");
        assert_eq!(bytes(41 * GIB), "41 GiB");
        assert_eq!(bytes(300 * KIB), "300 KiB");
    }

    #[test]
    fn time_left_reads_like_a_clock() {
        let shown = [0, 59, 245, 3480, 3720, 90_000].map(left);
        assert_eq!(shown, ["ended", "59s", "4m 05s", "58m", "1h 02m", "1d 01h"]);
    }

    #[test]
    fn percents_fit_five_cells() {
        for value in [0.0, 99.96, 999.94, 999.96, 1e9, f32::NAN, f32::INFINITY, -0.04] {
            assert!(percent(value).len() <= 5, "{value}");
        }
    }
}
