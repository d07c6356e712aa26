//! The pool of addresses that rooms get their subnets from.
//!
//! Knows: which IPv4 ranges may be used. Must not know: which subnets are taken.

use std::net::Ipv4Addr;

use crate::domain::settings::NetworkSettings;

use super::raw::Section;

/// The pool unless the file names one: a part of 10/8 that few others use; 1,024 rooms of the prefix below.
const POOL: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 208, 0, 0), 12);
/// Prefix length of a room unless the file says otherwise: 1,021 seats, about what one bridge carries.
const PREFIX: u8 = 22;
/// Smallest subnet of a room: five seats besides the gateway.
const PREFIX_MAX: u8 = 29;
/// The ranges that are nobody's on the internet (RFC 1918).
const PRIVATE: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];
/// Ranges with a meaning of their own, and what they are.
const SPECIAL: [(Ipv4Addr, u8, &str); 3] = [
    (Ipv4Addr::new(127, 0, 0, 0), 8, "the loopback range"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "the link-local range"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "the multicast range"),
];

/// Reads `[network]`.
pub(super) fn read(section: &Section<'_>) -> NetworkSettings {
    let pool = section.read("pool", |text: String| parse_pool(&text));
    let wrong_pool = section.has("pool") && pool.is_none();
    let (pool, pool_prefix) = pool.unwrap_or(POOL);
    let prefix = section.read("prefix", |number: i64| {
        let least = if wrong_pool { 8 } else { pool_prefix };
        u8::try_from(number)
            .ok()
            .filter(|prefix| (least..=PREFIX_MAX).contains(prefix))
            .ok_or_else(|| format!("write a number from {least}, the pool's own prefix, to {PREFIX_MAX}"))
    });
    if !section.has("prefix") && pool_prefix > PREFIX {
        section.wrong(
            "pool",
            format!("the pool is smaller than one room (/{PREFIX}): write network.prefix, from {pool_prefix} to {PREFIX_MAX}"),
        );
    }
    section.end(&[]);
    NetworkSettings {
        pool,
        pool_prefix,
        prefix: prefix.unwrap_or(PREFIX),
    }
}

fn parse_pool(text: &str) -> Result<(Ipv4Addr, u8), String> {
    const RULE: &str = "write an IPv4 range such as \"10.208.0.0/12\"";
    let (address, prefix) = text.split_once('/').ok_or(RULE)?;
    let address: Ipv4Addr = address.parse().map_err(|_| RULE)?;
    let prefix: u8 = prefix.parse().map_err(|_| RULE)?;
    if !(1..=32).contains(&prefix) {
        return Err(RULE.to_owned());
    }
    let base = Ipv4Addr::from(u32::from(address) & mask(prefix));
    if base != address {
        return Err(format!("has host bits: the range begins at {base}/{prefix}"));
    }
    if let Some((.., what)) = SPECIAL
        .iter()
        .find(|(other, length, _)| overlap((base, prefix), (*other, *length)))
    {
        return Err(format!("overlaps {what}"));
    }
    let inside = |(range, length): &(Ipv4Addr, u8)| prefix >= *length && overlap((base, prefix), (*range, *length));
    if !PRIVATE.iter().any(inside) {
        return Err("must lie within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16".to_owned());
    }
    if prefix > PREFIX_MAX {
        return Err(format!("is too small for a room: at most /{PREFIX_MAX}"));
    }
    Ok((base, prefix))
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn overlap(a: (Ipv4Addr, u8), b: (Ipv4Addr, u8)) -> bool {
    let shorter = mask(a.1.min(b.1));
    u32::from(a.0) & shorter == u32::from(b.0) & shorter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_are_held_to_their_rules() {
        assert_eq!(parse_pool("10.208.0.0/12"), Ok(POOL));
        assert_eq!(parse_pool("192.168.64.0/24"), Ok((Ipv4Addr::new(192, 168, 64, 0), 24)));
        for (bad, rule) in [
            ("10.208.0.1/12", "begins at 10.208.0.0/12"),
            ("10.0.0.0", "IPv4 range"),
            ("10.0.0.0/33", "IPv4 range"),
            ("0.0.0.0/0", "IPv4 range"),
            ("fd00::/8", "IPv4 range"),
            ("127.0.0.0/8", "loopback"),
            ("126.0.0.0/7", "loopback"),
            ("169.254.0.0/20", "link-local"),
            ("224.0.0.0/8", "multicast"),
            ("8.8.0.0/16", "must lie within"),
            ("172.0.0.0/8", "must lie within"),
            ("10.0.0.0/30", "too small"),
        ] {
            let error = parse_pool(bad).unwrap_err();
            assert!(error.contains(rule), "{bad}: {error}");
        }
    }
}
