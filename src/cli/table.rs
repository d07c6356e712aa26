//! Aligned columns for a terminal or a pipe.

use unicode_width::UnicodeWidthStr;

use super::clean::visible_line;

/// How a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Lines of aligned cells under their titles; hostile text in cells is made visible. The last column is not padded.
pub fn render(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let titles = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let mut lines: Vec<Vec<String>> = vec![titles];
    lines.extend(
        rows.iter()
            .map(|row| row.iter().map(|cell| visible_line(cell)).collect()),
    );
    let widths: Vec<usize> = (0..columns.len())
        .map(|n| {
            lines
                .iter()
                .filter_map(|line| line.get(n))
                .map(|cell| cell.width())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line
            .iter()
            .zip(columns)
            .zip(&widths)
            .map(|((cell, (_, align)), width)| pad(cell, *align, *width));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn pad(cell: &str, align: Align, width: usize) -> String {
    let space = " ".repeat(width.saturating_sub(cell.width()));
    match align {
        Align::Left => format!("{cell}{space}"),
        Align::Right => format!("{space}{cell}"),
    }
}

/// Bytes for people: binary units, three digits.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut value = count as f64;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ if value < 10.0 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

/// Seconds for people: hours and minutes, or minutes and seconds.
pub fn seconds(count: u64) -> String {
    match (count / 3600, count / 60 % 60, count % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_also_with_wide_and_hostile_text() {
        let columns = [("NAME", Align::Left), ("N", Align::Right), ("NOTE", Align::Left)];
        let rows = [
            vec!["世界".to_owned(), "1".to_owned(), "ok".to_owned()],
            vec!["a\u{1b}[2J".to_owned(), "100".to_owned(), String::new()],
        ];
        assert_eq!(
            render(&columns, &rows),
            "NAME          N  NOTE\n世界          1  ok\na\\u{1b}[2J  100\n"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1024, 50 << 20, 512 << 20, 1 << 30].map(bytes),
            ["0 B", "999 B", "1.0 KiB", "50 MiB", "512 MiB", "1.0 GiB"]
        );
        assert_eq!(
            [0, 59, 61, 3599, 3600, 90_061].map(seconds),
            ["0s", "59s", "1m01s", "59m59s", "1h00m", "25h01m"]
        );
    }
}
