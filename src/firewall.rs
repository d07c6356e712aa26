//! labtop's part of the host's firewall: whether it is in force, and loading it.
//!
//! Knows: nft, and the rules. Must not know: who asks, the agent or a person.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The rules.
const RULES: &str = include_str!("../assets/nftables/labtop.nft");
/// Stands at every rule that drops something, of those that are in force when these are.
const MARK: &str = "\"labtop 3\"";
/// How many there are.
const DROPS: usize = 6;
const TABLE: [&str; 4] = ["list", "table", "inet", "labtop"];
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the rules are in force.
///
/// # Errors
/// Why nobody can tell, in words.
pub async fn is_loaded() -> Result<bool, String> {
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
    if String::from_utf8_lossy(&output.stderr).contains("not permitted") {
        return Err("only root sees the firewall".to_owned());
    }
    let marks = String::from_utf8_lossy(&output.stdout).matches(MARK).count();
    Ok(output.status.success() && marks == DROPS)
}

/// Loads the rules; what is there of them is replaced at once.
///
/// # Errors
/// Why they could not be loaded, in words.
pub async fn load() -> Result<(), String> {
    let spawned = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut nft = spawned.map_err(|error| format!("cannot run nft: {error}"))?;
    let loading = async {
        if let Some(mut input) = nft.stdin.take() {
            input.write_all(RULES.as_bytes()).await?;
        }
        nft.wait_with_output().await
    };
    let output = match tokio::time::timeout(PATIENCE, loading).await {
        Ok(done) => done.map_err(|error| format!("cannot run nft: {error}"))?,
        Err(_) => return Err("nft does not answer".to_owned()),
    };
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(why.lines().next().unwrap_or("nft refused the table").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_that_drops_bears_the_mark() {
        let rules = RULES.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let drops: Vec<&str> = rules.filter(|line| line.contains(" drop")).collect();
        assert_eq!(drops.len(), DROPS);
        assert!(
            drops.iter().all(|line| line.ends_with(&format!("drop comment {MARK}"))),
            "{drops:#?}"
        );
    }
}
