//! `[agent]` through the configuration's public door: how long it takes to stop, and where its figures are.

use std::path::{Path, PathBuf};

use labtop::config::{self, Loaded, Mistakes};
use labtop::domain::settings::MetricsPlace;

fn check(text: &str) -> Result<Loaded, Mistakes> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("labtop.toml");
    std::fs::write(&path, text).unwrap();
    config::load(Some(&path), |_| None, Path::new("/var/lib/labtop-state"), false)
}

#[test]
fn what_is_written_is_heeded_and_printed_so_that_it_can_be_read_back() {
    for (text, grace, metrics) in [
        ("", 90, MetricsPlace::Usual),
        ("grace_seconds = 600", 600, MetricsPlace::Usual),
        ("metrics_socket = 'none'", 90, MetricsPlace::Nowhere),
        (
            "metrics_socket = '/run/lab/m.sock'",
            90,
            MetricsPlace::Socket(PathBuf::from("/run/lab/m.sock")),
        ),
    ] {
        let loaded = check(&format!("[agent]\n{text}\n")).unwrap();
        let agent = &loaded.settings.agent;
        assert_eq!((agent.grace_seconds, &agent.metrics), (grace, &metrics), "{text}");
        assert_eq!(check(&config::to_toml(&loaded)).unwrap().settings, loaded.settings);
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let text = "[agent]\ngrace_seconds = 0\nmetrics_socket = 'metrics.sock'\nmetric_socket = ''\n";
    let mistakes = check(text).unwrap_err().to_string();
    let lines: Vec<&str> = mistakes.lines().collect();
    assert_eq!(lines.len(), 3, "{mistakes}");
    for (line, words) in lines.iter().zip([
        ["line 2: agent.grace_seconds = 0", "from 1 to 3600"],
        [
            "line 3: agent.metrics_socket = 'metrics.sock'",
            "absolute path, or \"none\"",
        ],
        ["line 4: agent.metric_socket", "did you mean `metrics_socket`"],
    ]) {
        assert!(words.iter().all(|words| line.contains(words)), "{line}");
    }
}
