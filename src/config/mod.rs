//! The configuration: from a TOML text to checked [`Settings`], with all mistakes at once.
//!
//! Knows: keys, units, defaults, where files are. Must not know: what the agent does with a setting.

mod archive;
mod check;
mod docker;
mod image;
mod leases;
mod locate;
mod network;
mod print;
mod raw;
mod roles;
mod routing;
mod templates;
mod units;
mod value;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::ids::TemplateName;
use crate::domain::settings::Settings;

pub use print::to_toml;
pub use templates::{DEMO_IMAGE, DEMO_TEMPLATE};

/// The example configuration. Its values are the built-in defaults and its templates the built-in templates.
pub const EXAMPLE: &str = include_str!("../../config.example.toml");

/// What stands for a file where there is none. Nobody has said yet what seats are made of, so rooms open from the one
/// image that needs no registry: `labtop room open` works on a fresh machine.
const UNCONFIGURED: &str = "default_template = \"demo\"\n";

/// What the checks need to know besides the file.
struct Surroundings<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    state_dir: &'a Path,
}

/// Settings that have passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The file that they were read from; none means the built-in defaults.
    pub source: Option<PathBuf>,
    /// What is allowed but should be known; one line each.
    pub warnings: Vec<String>,
    /// Settings that came from the environment, as (key, variable).
    pub overrides: Vec<(&'static str, &'static str)>,
    /// Templates that the file defines; the others are built in.
    pub from_file: Vec<TemplateName>,
}

impl Loaded {
    /// What `config check` says of settings without mistakes.
    #[must_use]
    pub fn verdict(&self) -> String {
        match &self.source {
            Some(path) => format!("{} is good", path.display()),
            None => "no configuration file was found, the built-in settings are good".to_owned(),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1; none when it is not about a line of the file.
    pub line: Option<usize>,
    /// The key with dots (`templates.node.memory`) or the environment variable; may be empty.
    pub key: String,
    /// The value as it is written, made harmless and cut; may be empty.
    pub value: String,
    /// The rule that it breaks.
    pub rule: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        match (self.key.as_str(), self.value.as_str()) {
            ("", _) => {}
            (key, "") => write!(f, "{key}: ")?,
            (key, value) => write!(f, "{key} = {value}: ")?,
        }
        f.write_str(&self.rule)
    }
}

/// All that is wrong with the configuration; displayed one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    /// The file; none when there is none.
    pub source: Option<PathBuf>,
    /// At least one.
    pub all: Vec<Mistake>,
}

impl Mistakes {
    fn of_file(path: &Path, rule: String) -> Self {
        let mistake = Mistake {
            line: None,
            key: String::new(),
            value: String::new(),
            rule,
        };
        Self {
            source: Some(path.to_owned()),
            all: vec![mistake],
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.all.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            if let Some(path) = &self.source {
                write!(f, "{}: ", path.display())?;
            }
            write!(f, "{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Finds, reads and checks the configuration.
///
/// `explicit` is the path of `--config`; `env` reads the environment; `state_dir` is where archives go unless the
/// file says otherwise; `is_root` asks for a warning when others than root may write the file.
///
/// # Errors
/// Everything that is wrong, when anything is.
pub fn load(
    explicit: Option<&Path>,
    env: impl Fn(&str) -> Option<String>,
    state_dir: &Path,
    is_root: bool,
) -> Result<Loaded, Mistakes> {
    let surroundings = Surroundings { env: &env, state_dir };
    let Some(found) = locate::find(explicit, &env)? else {
        return check::check(None, UNCONFIGURED, &surroundings);
    };
    let mut loaded = check::check(Some(&found.path), &found.text, &surroundings)?;
    if is_root {
        loaded.warnings.extend(found.who_else_may_write());
    }
    Ok(loaded)
}
