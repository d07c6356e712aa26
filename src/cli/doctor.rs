//! `labtop doctor`: what works and what does not; what a room's seats reach; and the host's firewall.

use std::path::Path;

use super::args::DoctorArgs;
use super::attach::attach;
use super::exit::{Exit, Problem, complain, print};
use super::list::{ask, json, odd_answer};
use super::table::{self, Align};
use crate::domain::command::{Answer, Check, CheckState, ENGINE_CHECK, Query};
use crate::firewall;

/// `labtop doctor`.
///
/// # Errors
/// When the agent or the engine does not answer, the firewall cannot be loaded, or the output cannot be written.
pub async fn doctor(args: DoctorArgs, config: Option<&Path>) -> Result<Exit, Problem> {
    if args.fix {
        load_firewall().await?;
    }
    let query = match args.room {
        Some(room) => Query::Isolation { room },
        None => Query::Doctor,
    };
    let Answer::Doctor { checks } = ask(&attach(config).await?, query).await? else {
        return Err(odd_answer());
    };
    if args.json {
        print(&json(&checks)?)?;
    } else {
        print(&checks_text(&checks))?;
    }
    let mut failed = checks.iter().filter(|check| check.state == CheckState::Fail).peekable();
    if failed.peek().is_none() {
        return Ok(Exit::Done);
    }
    // An engine that does not answer has an exit code of its own.
    let no_engine = failed.any(|check| check.name == ENGINE_CHECK);
    Ok(if no_engine { Exit::Unreachable } else { Exit::Failed })
}

fn checks_text(checks: &[Check]) -> String {
    let columns = [("CHECK", Align::Left), ("STATE", Align::Left), ("FOUND", Align::Left)];
    let state = |check: &Check| match check.state {
        CheckState::Ok => "ok",
        CheckState::Warn => "warning",
        CheckState::Fail => "FAILED",
    };
    let found = |check: &Check| match check.hint.as_str() {
        "" => check.text.clone(),
        hint => format!("{}. {hint}", check.text.trim_end_matches('.')),
    };
    let rows: Vec<_> = checks
        .iter()
        .map(|check| vec![check.name.clone(), state(check).to_owned(), found(check)])
        .collect();
    table::render(&columns, &rows)
}

/// Loads the table; what is there of it is replaced at once.
async fn load_firewall() -> Result<(), Problem> {
    let failed = |text: String| Problem::new(Exit::Failed, text);
    if !rustix::process::geteuid().is_root() {
        let text = "loading the firewall takes root: `sudo labtop doctor --fix`";
        return Err(failed(text.to_owned()));
    }
    let loaded = firewall::load().await;
    loaded.map_err(|why| {
        failed(format!(
            "the firewall is not loaded: {why}. nft (the package nftables) must be there and know the kernel; then try again"
        ))
    })?;
    complain(
        "The firewall's table `inet labtop` is loaded until the next boot; the unit labtop-agent loads it at every start.",
    );
    Ok(())
}
