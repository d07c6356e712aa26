//! Reading the command line, and one clear message when it is wrong.
//!
//! Knows: how clap reports. Must not know: what the verbs do.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};

use super::args::{Cli, ClientVerb, RoomVerb, Verb};
use super::clean::visible;
use super::exit::{Exit, complain};

/// Names the configuration file where `--config` does not.
const CONFIG_VARIABLE: &str = "LABTOP_CONFIG";

/// Reads this process's arguments. Help and mistakes are printed here; the exit code says which it was.
///
/// # Errors
/// When there is nothing left to do but to exit with that code.
pub fn parse() -> Result<Cli, ExitCode> {
    parse_from(std::env::args_os()).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe is no failure of asking for help.
            let _ = error.print();
            Exit::Done.into()
        }
        _ => {
            complain(&explain(&error));
            Exit::Usage.into()
        }
    })
}

/// Reads arguments, the program's name first, and `$LABTOP_CONFIG`.
///
/// # Errors
/// When they ask for help, or are wrong.
pub fn parse_from<T: Into<OsString> + Clone>(arguments: impl IntoIterator<Item = T>) -> Result<Cli, clap::Error> {
    let mut cli = Cli::try_parse_from(arguments)?;
    // Not left to clap, for which an empty variable is a mistake; here it is the way to unset one.
    let given = || std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    cli.config = cli.config.or_else(|| given().map(Into::into));
    if let Some(Verb::Client(ClientVerb::Room {
        verb: RoomVerb::Open(open),
    })) = &cli.verb
        && let Err(text) = open.who()
    {
        return Err(clap::Error::raw(ErrorKind::ValueValidation, text));
    }
    Ok(cli)
}

/// One clear message for a wrong argument, harmless to a terminal.
fn explain(error: &clap::Error) -> String {
    use std::error::Error;
    let text = match (error.kind(), error.source(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::ValueValidation, Some(cause), Some(argument)) => {
            format!("labtop: {argument}: {cause}")
        }
        _ => error.render().to_string().replacen("error:", "labtop:", 1),
    };
    visible(text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn words(line: &str) -> Result<Cli, clap::Error> {
        parse_from(std::iter::once("labtop").chain(line.split(' ')))
    }

    fn message(arguments: &[&str]) -> String {
        let error = parse_from(std::iter::once("labtop").chain(arguments.iter().copied())).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        explain(&error)
    }

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_stable_lines_parse() {
        for line in [
            "agent",
            "agent --detached",
            "demo",
            "demo --seats 30",
            "demo --down --yes",
            "room open demo2 --seats 30",
            "room open r --template node --students a,B.c,d_e --minutes 90 --exam --dry-run --detach --yes",
            "room close r",
            "room close r --discard --yes",
            "room extend r --student an --minutes 10",
            "room freeze r --yes",
            "room thaw r --student an",
            "room hold r --yes",
            "room release r --student an",
            "seat kill r/s07 --yes",
            "seat restart r/s07",
            "seat logs r/s07 --tail 5 --follow",
            "seat shell r/s07",
            "seat top r/s07 --json",
            "ls",
            "ls r --json",
            "archive ls --room r --json",
            "audit --room r --json",
            "audit --verify",
            "doctor --json --config /x",
            "config print",
            "--config /x config check",
        ] {
            assert!(words(line).is_ok(), "{line}: {:?}", words(line).err());
        }
        assert!(parse_from(["labtop"]).unwrap().verb.is_none());
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in [
            "room open r",
            "room open r --seats 3 --students a",
            "room open r --seats 0",
            "room open r --seats 901",
            "room open r --seats 3 --minutes 0",
            "room open r --seats 3 --minutes 99999999",
            "room extend r",
            "room open R --seats 3",
            "room open r --students a,,b",
            "room open r --students a,b,a",
            "seat kill r",
            "seat kill r/a/b",
            "seat logs r/a --tail -1",
            "reboot",
        ] {
            assert_eq!(words(line).map_err(|error| error.exit_code()).unwrap_err(), 2, "{line}");
        }
    }

    #[test]
    fn a_bad_id_is_one_line_with_the_value_and_the_rule() {
        let long = "a".repeat(300);
        for bad in ["a`b", "a/b", "a b", "a\u{1b}[2J", "\u{202e}a", "😀", "a\nb", &long] {
            let text = message(&["room", "open", "r", "--students", bad]);
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.contains("student id") && text.contains("1 to 64 of"), "{text}");
            assert!(text.len() < 300 && !text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
        }
        let text = message(&["seat", "kill", "Room/an"]);
        assert_eq!(
            text,
            "labtop: <ROOM/STUDENT>: room name \"Room\" is not valid: 1 to 32 of a-z, 0-9 and -, the first a letter or digit"
        );
        assert!(message(&["room", "open", "r", "--students", "a,b,a"]).contains("names a twice"));
        assert!(message(&["room", "extend", "r", "--minutes", "0"]).contains("--minutes"));
        assert!(!message(&["reb\u{1b}[2Joot"]).contains('\u{1b}'));
    }
}
