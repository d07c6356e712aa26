//! Cutting the connections that the proxy holds to a seat: it asks the gateway once, when one begins, so one that was begun
//! in a session that is over by now would go on for ever.

use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(5);

/// Ends every TCP connection of this host's to that address. Whoever is still entitled to one comes back.
///
/// # Errors
/// Why that could not be done, in words.
pub async fn cut(seat: IpAddr) -> Result<(), String> {
    let asked = Command::new("ss")
        .args(["-K", "-n", "-t", "dst", &seat.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("cannot run ss (the package iproute2): {error}")),
        Err(_) => return Err("ss does not answer".to_owned()),
    };
    let words = String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), words.trim()) {
        (true, "") => Ok(()),
        (_, why) => Err(format!("ss: {why}")),
    }
}
