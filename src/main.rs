//! The story: arguments, log, configuration, then board, agent, demo or verb.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use labtop::agent::{self, AgentError};
use labtop::cli::{self, AgentArgs, Cli, ConfigVerb, Exit, LedgerVerb, Problem, RebuildArgs, Verb};
use labtop::config::{self, Loaded};
use labtop::paths::Paths;
use labtop::rebuild::RebuildError;
use labtop::{board, demo, gateway, log, rebuild, service};

/// Tells the C library how many arenas its allocator may keep.
const ARENAS: (&str, &str) = ("MALLOC_ARENA_MAX", "2");
/// How long an agent that has ended waits for its threads that read and write files.
const LAST_READS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    match story(cli) {
        Ok(exit) => exit,
        Err(problem) => problem.tell(),
    }
}

fn story(cli: Cli) -> Result<ExitCode, Problem> {
    let config = cli.config.as_deref();
    match cli.verb {
        Some(Verb::Client(verb)) => Ok(runtime()?.block_on(cli::run(verb, config))),
        Some(Verb::Config { verb }) => configuration(verb, config),
        Some(Verb::Ledger { verb }) => ledger(verb, config),
        Some(Verb::Agent(args)) => agent(args, config),
        Some(Verb::Gateway) => gateway(config),
        Some(Verb::TraefikConfig) => {
            let loaded = load(config, &Paths::of_process()?)?;
            cli::print(&cli::traefik_config(&loaded.settings))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Verb::Demo(args)) => {
            let (loaded, _log) = client_part(config, "demo.log")?;
            runtime()?.block_on(demo::run(&args, config, &loaded, is_terminal()))
        }
        None => {
            let (loaded, _log) = client_part(config, "board.log")?;
            runtime()?.block_on(show_board(config, &loaded))
        }
    }
}

fn agent(args: AgentArgs, config: Option<&Path>) -> Result<ExitCode, Problem> {
    with_few_arenas();
    let detached = args.detached;
    if detached {
        cli::attach::become_detached();
    }
    let paths = Paths::of_process()?;
    let loaded = load(config, &paths)?;
    let _log = log::of_agent(&paths.state, detached)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
        cli::complain(&format!("labtop: {warning}"));
    }
    let home = agent::Home {
        state: paths.state,
        socket: paths.socket,
        detached,
        accept_engine: args.accept_engine,
    };
    let runtime = runtime()?;
    let ended = runtime.block_on(Box::pin(agent::run(&home, &loaded.settings)));
    // A read that hangs in the kernel must not outlast the agent.
    runtime.shutdown_timeout(LAST_READS);
    match ended {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Two clients started one each; the other one serves both.
        Err(AgentError::Held(_)) if detached => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Problem::new(Exit::Failed, error.to_string())),
    }
}

fn gateway(config: Option<&Path>) -> Result<ExitCode, Problem> {
    with_few_arenas();
    let paths = Paths::of_process()?;
    let loaded = load(config, &paths)?;
    // Where the service manager keeps its state, else beside the agent's.
    let given = std::env::var_os("STATE_DIRECTORY").filter(|text| !text.is_empty());
    let state = given.map_or_else(|| paths.state.join("gateway"), PathBuf::from);
    let _log = log::of_gateway(&state)?;
    let (gateway, routing) = (loaded.settings.gateway, loaded.settings.routing);
    let warn_minutes = loaded.settings.leases.warn_minutes.iter().copied().max();
    let warn_minutes = u64::from(warn_minutes.unwrap_or_default());
    let place = gateway::Place {
        listen: gateway.listen,
        public_url: gateway.public_url,
        routing,
        warn_seconds: warn_minutes.max(1) * 60,
        state,
        agents: paths.candidates,
    };
    let ready = |_| service::ready();
    let ended = runtime()?.block_on(gateway::run(&place, ready));
    ended.map_err(|error| Problem::new(Exit::Failed, error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Begins this process again with an allocator that keeps few arenas, unless somebody has said how many.
///
/// The C library's allocator gives every few threads an arena of their own. An agent's work moves from thread to thread
/// and fills them all with holes: after some minutes of rooms that come and go it held 50 MB where 20 were in use, and
/// more every minute. The number can only be given before the process begins.
fn with_few_arenas() {
    let (name, count) = ARENAS;
    if std::env::var_os(name).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new(program);
    if let Some(own) = arguments.next() {
        again.arg0(own);
    }
    // It only returns when it failed, and then this process does as well, with more memory.
    let _ = again.args(arguments).env(name, count).exec();
}

fn ledger(verb: LedgerVerb, config: Option<&Path>) -> Result<ExitCode, Problem> {
    match verb {
        LedgerVerb::Backup(args) => Ok(runtime()?.block_on(cli::backup(args, config))?.into()),
        LedgerVerb::Rebuild(args) => make_ledger_again(&args, config),
    }
}

fn make_ledger_again(args: &RebuildArgs, config: Option<&Path>) -> Result<ExitCode, Problem> {
    let paths = Paths::of_process()?;
    let loaded = load(config, &paths)?;
    let _log = log::to_file(&paths.state, "rebuild.log")?;
    let order = rebuild::Order {
        state: paths.state,
        instance: args.instance.clone(),
        verify: args.verify,
    };
    let report = runtime()?.block_on(Box::pin(rebuild::run(&order, &loaded.settings)));
    let report = report.map_err(|error| match error {
        RebuildError::Fault(fault) => fault.into(),
        error => Problem::new(Exit::Failed, error.to_string()),
    })?;
    for doubt in &report.doubts {
        cli::complain(&cli::visible(&format!("labtop: {doubt}")));
    }
    cli::print(&format!("{}\n", cli::visible(&report.summary)))?;
    Ok(if report.skipped { Exit::Partly } else { Exit::Done }.into())
}

async fn show_board(config: Option<&Path>, loaded: &Loaded) -> Result<ExitCode, Problem> {
    if !is_terminal() {
        let text = "the board needs a terminal; `labtop ls` lists the seats, `labtop --help` tells the rest";
        return Err(Problem::new(Exit::Usage, text));
    }
    let client = cli::attach::attach(config).await?;
    let exit = board::show(client, config, &loaded.settings).await;
    let exit = exit.map_err(|error| Problem::new(Exit::Failed, error.to_string()))?;
    Ok(exit.code().into())
}

fn configuration(verb: ConfigVerb, config: Option<&Path>) -> Result<ExitCode, Problem> {
    let loaded = load(config, &Paths::of_process()?)?;
    match verb {
        ConfigVerb::Print => cli::print(&config::to_toml(&loaded))?,
        ConfigVerb::Check => cli::print(&format!("{}\n", loaded.verdict()))?,
    }
    for warning in &loaded.warnings {
        cli::complain(&format!("labtop: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn client_part(config: Option<&Path>, file: &str) -> Result<(Loaded, log::Guard), Problem> {
    let paths = Paths::of_process()?;
    let loaded = load(config, &paths)?;
    Ok((loaded, log::to_file(&paths.state, file)?))
}

fn load(config: Option<&Path>, paths: &Paths) -> Result<Loaded, Problem> {
    let env = |name: &str| std::env::var(name).ok();
    let root = rustix::process::geteuid().is_root();
    config::load(config, env, &paths.state, root).map_err(|mistakes| Problem::new(Exit::Usage, mistakes.to_string()))
}

fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(Exit::Failed, format!("no threads can be started: {error}")))
}
