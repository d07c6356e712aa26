//! Small parts that many views use: bars, lines of bars, lines of text.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use crate::tui::text::fit;
use crate::tui::theme::Look;

const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SPARKS_ASCII: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// A bar of `width` cells filled to `share` (0 to 1), exact to half a cell.
pub fn bar(look: Look, share: f64, width: usize, style: Style) -> [Span<'static>; 2] {
    let halves = cells(share, width * 2);
    let (full, half) = (halves / 2, halves % 2);
    let mut filled = look.pick("━", "#").repeat(full);
    filled.push_str(if half == 1 { look.pick("╸", "=") } else { "" });
    let rest = look.pick("─", "-").repeat(width - full - half);
    [Span::styled(filled, style), Span::styled(rest, look.dim())]
}

/// So many of `width` cells stand for `share`; what is not nothing shows, and what is not all does not look so.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small and clamped"
)]
fn cells(share: f64, width: usize) -> usize {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let filled = (share * width as f64).round() as usize;
    match share {
        s if s > 0.0 && filled == 0 => width.min(1),
        s if s < 1.0 && filled == width => width.saturating_sub(1),
        _ => filled,
    }
}

/// The newest `width` samples as a line, against `limit`; older gaps are left empty.
pub fn spark(look: Look, samples: &[u16], limit: f32, width: usize) -> String {
    let newest = &samples[samples.len().saturating_sub(width)..];
    let signs = look.pick(SPARKS, SPARKS_ASCII);
    let line = newest.iter().map(|sample| {
        let level = cells(f64::from(*sample) / f64::from(limit.max(1.0)), signs.len() - 1);
        signs[level]
    });
    let gap = std::iter::repeat_n(' ', width - newest.len());
    gap.chain(line).collect()
}

/// The share of one figure in another, 0 when there is no other.
#[expect(clippy::cast_precision_loss, reason = "shown in a few cells")]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A line with one part at the left and one at the right end; the left one gives way.
pub fn ends(left: Vec<Span<'static>>, right: Vec<Span<'static>>, width: u16, look: Look) -> Line<'static> {
    let width = usize::from(width);
    let right_width: usize = right.iter().map(Span::width).sum();
    let mut spans = cut(left, width.saturating_sub(right_width + 1), look);
    let used: usize = spans.iter().map(Span::width).sum();
    let gap = width.saturating_sub(used + right_width);
    spans.push(Span::raw(" ".repeat(gap)));
    spans.extend(right);
    Line::from(spans)
}

/// Spans cut to `width` cells; a cut is marked.
pub fn cut(spans: Vec<Span<'static>>, width: usize, look: Look) -> Vec<Span<'static>> {
    let mut left = width;
    let mut out = Vec::with_capacity(spans.len());
    for span in spans {
        let text = fit(&span.content, left, look.ascii);
        let cut = text.width() < span.width() || text != span.content;
        left -= text.width().min(left);
        out.push(Span::styled(text, span.style));
        if cut {
            break;
        }
    }
    out
}

/// Parts with a separator between them.
pub fn join(parts: Vec<Vec<Span<'static>>>, separator: &Span<'static>) -> Vec<Span<'static>> {
    let mut out: Vec<Span<'static>> = Vec::new();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !out.is_empty() {
            out.push(separator.clone());
        }
        out.extend(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(share: f64) -> String {
        bar(Look::PLAIN, share, 4, Style::new())
            .iter()
            .map(|s| s.content.clone())
            .collect()
    }

    #[test]
    fn bars_tell_nothing_from_little_and_nearly_all_from_all() {
        assert_eq!(drawn(0.0), "────");
        assert_eq!(drawn(0.001), "╸───");
        assert_eq!(drawn(0.5), "━━──");
        assert_eq!(drawn(0.999), "━━━╸");
        assert_eq!(drawn(7.0), "━━━━");
        assert_eq!(drawn(f64::NAN), "────");
    }

    #[test]
    fn sparks_scale_to_the_limit() {
        assert_eq!(spark(Look::PLAIN, &[0, 50, 100, 200], 100.0, 6), "  ▁▅██");
        assert_eq!(spark(Look::PLAIN, &[9, 9, 100], 100.0, 1), "█");
    }
}
