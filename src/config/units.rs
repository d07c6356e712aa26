//! Sizes and amounts as people write them.
//!
//! Knows: units and the bounds of limits. Must not know: which key a limit belongs to.

use super::value::Scalar;

/// What is said when somebody tries to switch a limit off.
const NO_LIMITS: &str = "a template without limits is refused";

/// Units of memory, the larger first so that printing finds the shortest form.
const UNITS: [(&str, u64); 6] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];
/// Least memory of a container that the engine accepts, bytes.
pub(super) const MEMORY_MIN: u64 = 6 << 20;
/// Most memory, bytes: 64 TiB, more than any one machine of a lab has, so a larger figure is a slip.
const MEMORY_MAX: u64 = 64 << 40;
/// Least CPU that the engine accepts, cores.
const CPUS_MIN: f64 = 0.01;
/// Most CPU, cores.
const CPUS_MAX: f64 = 1024.0;

/// Reads a limit of memory such as `"512MiB"`; bytes.
pub(super) fn memory(value: Scalar) -> Result<u64, String> {
    const RULE: &str = "write a size with its unit, at least \"6MiB\", such as \"512MiB\" or \"2GiB\"";
    if is_off(&value) {
        return Err(format!("{NO_LIMITS}: {RULE}"));
    }
    let Scalar::Text(text) = value else {
        return Err(RULE.to_owned());
    };
    let bytes = parse_size(&text).ok_or(RULE)?;
    if (MEMORY_MIN..=MEMORY_MAX).contains(&bytes) {
        Ok(bytes)
    } else {
        Err("must be from 6MiB, which the engine needs, to 65536GiB".to_owned())
    }
}

/// Reads a limit of CPU in cores; thousandths of a core.
pub(super) fn millicpus(value: Scalar) -> Result<u32, String> {
    const RULE: &str = "write a number of cores from 0.01 to 1024, such as 1.0";
    if is_off(&value) {
        return Err(format!("{NO_LIMITS}: {RULE}"));
    }
    let cores = match value {
        Scalar::Number(cores) => cores,
        Scalar::Integer(cores) => u32::try_from(cores).map_or(f64::INFINITY, f64::from),
        _ => return Err(RULE.to_owned()),
    };
    if (CPUS_MIN..=CPUS_MAX).contains(&cores) {
        Ok(thousandths(cores))
    } else {
        Err(RULE.to_owned())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the caller has held it to 0.01 to 1024, so the product fits"
)]
fn thousandths(cores: f64) -> u32 {
    (cores * 1000.0).round() as u32
}

/// Reads a limit that is a count from `least` to `most`.
pub(super) fn count(value: Scalar, least: u32, most: u32) -> Result<u32, String> {
    let rule = format!("write a whole number from {least} to {most}");
    if is_off(&value) {
        return Err(format!("{NO_LIMITS}: {rule}"));
    }
    match value {
        Scalar::Integer(number) => within(number, least, most),
        _ => Err(rule),
    }
}

/// Holds a whole number to its bounds.
pub(super) fn within(number: i64, least: u32, most: u32) -> Result<u32, String> {
    u32::try_from(number)
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("write a whole number from {least} to {most}"))
}

/// Whether somebody means "no limit" by it.
fn is_off(value: &Scalar) -> bool {
    match value {
        Scalar::Integer(number) => *number <= 0,
        Scalar::Number(number) => *number <= 0.0 || !number.is_finite(),
        Scalar::Flag(flag) => !flag,
        Scalar::Text(text) => {
            let word = text.trim().to_ascii_lowercase();
            let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
            matches!(
                word.as_str(),
                "" | "none" | "off" | "unlimited" | "infinity" | "max" | "no"
            ) || digits.parse::<f64>().is_ok_and(|number| number <= 0.0)
        }
    }
}

pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let digits = text.strip_suffix(unit)?.trim_end();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes bytes with the largest unit that divides them.
pub(super) fn size(bytes: u64) -> String {
    match UNITS.iter().find(|(_, factor)| bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Scalar {
        Scalar::Text(text.to_owned())
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(memory(text("512MiB")), Ok(512 << 20));
        assert_eq!(memory(text("2 GiB")), Ok(2 << 30));
        assert_eq!(memory(text("500MB")), Ok(500_000_000));
        assert_eq!(memory(text("6MiB")), Ok(MEMORY_MIN));
        for bad in [
            "512",
            "512mib",
            "-1MiB",
            "1.5GiB",
            "MiB",
            "5MiB",
            "99999999999GiB",
            "+7MiB",
        ] {
            assert!(memory(text(bad)).is_err(), "{bad}");
        }
        assert!(memory(Scalar::Integer(536_870_912)).is_err());
    }

    #[test]
    fn no_limit_can_be_switched_off() {
        let offs = [
            text("none"),
            text("0"),
            text("-1"),
            text("0MiB"),
            text("Unlimited"),
            text(""),
            Scalar::Integer(0),
            Scalar::Integer(-1),
            Scalar::Number(0.0),
            Scalar::Number(f64::INFINITY),
            Scalar::Number(f64::NAN),
            Scalar::Flag(false),
        ];
        for off in offs {
            for refused in [
                memory(off.clone()).err(),
                millicpus(off.clone()).err(),
                count(off.clone(), 1, 9).err(),
            ] {
                let refused = refused.unwrap_or_default();
                assert!(refused.starts_with(NO_LIMITS), "{off:?}: {refused}");
            }
        }
    }

    #[test]
    fn cores_are_read() {
        assert_eq!(millicpus(Scalar::Number(1.5)), Ok(1500));
        assert_eq!(millicpus(Scalar::Integer(1024)), Ok(1_024_000));
        assert!(millicpus(Scalar::Number(0.001)).is_err());
        assert!(millicpus(Scalar::Number(1024.5)).is_err());
        assert!(millicpus(Scalar::Integer(i64::MAX)).is_err());
    }

    proptest! {
        #[test]
        fn a_written_size_is_read_back(kib in 6_144_u64..1 << 36) {
            prop_assert_eq!(memory(Scalar::Text(size(kib << 10))), Ok(kib << 10));
        }
    }
}
