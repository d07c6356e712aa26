//! A strict reader of the text format for figures (`OpenMetrics` 1.0, as far as labtop uses it): every line is one that the
//! format knows, every sample belongs to the family announced before it, and no sample comes twice.

use std::collections::BTreeSet;

/// One sample: name, sorted labels, value.
type Sample = (String, Vec<(String, String)>, f64);

/// A page that was read.
pub struct Page {
    pub text: String,
    samples: Vec<Sample>,
}

/// What was announced of the family whose samples follow.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    helped: bool,
}

impl Family {
    fn may_have(&self, sample: &str) -> bool {
        let Some(suffix) = sample.strip_prefix(&self.name) else {
            return false;
        };
        let allowed: &[&str] = match self.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[],
        };
        self.helped && allowed.contains(&suffix)
    }
}

impl Page {
    /// Reads a page; what breaks a rule of the format is told.
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?;
        let (mut samples, mut seen, mut families) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut family = Family::default();
        for line in body.lines() {
            if let Some(words) = line.strip_prefix("# ") {
                announce(words, &mut family, &mut families).map_err(|why| format!("{line:?}: {why}"))?;
                continue;
            }
            let sample = sample(line).map_err(|why| format!("{line:?}: {why}"))?;
            if !family.may_have(&sample.0) {
                return Err(format!("{line:?} does not belong to {} ({})", family.name, family.kind));
            }
            if family.kind == "counter" && sample.2 < 0.0 {
                return Err(format!("{line:?} counts backwards"));
            }
            if !seen.insert((sample.0.clone(), sample.1.clone())) {
                return Err(format!("{line:?} comes twice"));
            }
            samples.push(sample);
        }
        let text = text.to_owned();
        Ok(Self { text, samples })
    }

    /// The value of a sample with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut labels: Vec<(String, String)> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        labels.sort();
        let found = self
            .samples
            .iter()
            .find(|sample| sample.0 == name && sample.1 == labels);
        found.map(|sample| sample.2)
    }
}

fn announce(words: &str, family: &mut Family, families: &mut BTreeSet<String>) -> Result<(), String> {
    let (what, rest) = words.split_once(' ').ok_or("no such comment")?;
    let (name, value) = rest.split_once(' ').ok_or("nothing is said of it")?;
    if !is_name(name) || value.is_empty() {
        return Err("no name, or no value".into());
    }
    if name != family.name {
        if !families.insert(name.to_owned()) {
            return Err("announced twice".into());
        }
        *family = Family {
            name: name.to_owned(),
            ..Family::default()
        };
    }
    match what {
        "HELP" if !family.helped => family.helped = true,
        "TYPE" if family.kind.is_empty() => value.clone_into(&mut family.kind),
        "UNIT" if name.ends_with(&format!("_{value}")) => {}
        _ => return Err("no such comment, or twice, or a unit that is not in the name".into()),
    }
    Ok(())
}

fn sample(line: &str) -> Result<Sample, String> {
    let (named, value) = line.rsplit_once(' ').ok_or("no value")?;
    let value: f64 = match value {
        "+Inf" | "-Inf" | "NaN" => return Err("no figure of labtop's is such".into()),
        value => value.parse().map_err(|_| "no number")?,
    };
    let (name, mut labels) = match named.split_once('{') {
        None => (named, Vec::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}').ok_or("no closing brace")?)?),
    };
    if !is_name(name) {
        return Err("no name".into());
    }
    labels.sort();
    Ok((name.to_owned(), labels, value))
}

/// `KEY="VALUE",…`; labtop's values need no escaping, so that none may.
fn labels(text: &str) -> Result<Vec<(String, String)>, String> {
    let one = |label: &str| {
        let (key, value) = label.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        let plain = !value.contains(['"', '\\', '{', '}']) && !value.chars().any(char::is_control);
        (is_name(key) && plain).then(|| (key.to_owned(), value.to_owned()))
    };
    let all: Option<Vec<_>> = text.split(',').map(one).collect();
    all.ok_or_else(|| "a label that is none".into())
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}
