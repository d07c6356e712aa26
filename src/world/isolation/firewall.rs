//! Whether labtop's part of the host's firewall is loaded.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Stands in the rules that are in force when these are.
const MARK: &str = "\"labtop 1\"";
const TABLE: [&str; 4] = ["list", "table", "inet", "labtop"];
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the rules are in force.
///
/// # Errors
/// Why nobody can tell, in words.
pub async fn firewall() -> Result<bool, String> {
    let asked = Command::new("nft")
        .args(TABLE)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("cannot run nft: {error}")),
        Err(_) => return Err("nft does not answer".to_owned()),
    };
    let words = String::from_utf8_lossy(&output.stderr);
    if words.contains("not permitted") {
        return Err("only root sees the firewall".to_owned());
    }
    Ok(output.status.success() && String::from_utf8_lossy(&output.stdout).contains(MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_bear_their_mark() {
        let rules = include_str!("../../../assets/nftables/labtop.nft");
        assert!(rules.contains(MARK));
    }
}
