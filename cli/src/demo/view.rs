//! The live view, drawn from a picture alone.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Gauge, Paragraph};

use super::board::{Picture, WorkerPicture, WorkerState};

/// How many lines the view takes for so many workers: a heading, the workers, a gap, two gauges.
pub(super) fn height(workers: u16) -> u16 {
    workers + 5
}

const NAME_WIDTH: usize = 10;

/// Draws who holds which shard, and how far the records have come.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let worker_lines = u16::try_from(picture.workers.len()).unwrap_or(u16::MAX);
    let [heading, workers, _gap, produced, delivered] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(worker_lines),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(heading_line(picture), heading);
    frame.render_widget(Paragraph::new(worker_lines_of(picture, workers.width)), workers);
    draw_gauge(frame, produced, "produced", picture.produced, picture.target_records, Color::Blue);
    draw_gauge(frame, delivered, "delivered", picture.delivered, picture.target_records, Color::Green);
}

fn heading_line(picture: &Picture) -> Line<'static> {
    let counts = picture.counts();
    let spread = counts.values().max().unwrap_or(&0) - counts.values().min().unwrap_or(&0);
    let (word, color) = match (picture.is_over, picture.is_level()) {
        (true, _) => ("the end", Color::Green),
        (false, true) => ("level", Color::Green),
        (false, false) => ("moving", Color::Yellow),
    };
    Line::from(vec![
        Span::from(format!("{:6.1} s   ", picture.elapsed.as_secs_f64())).bold(),
        Span::from(format!("{} shards   {} moves   spread {spread}   ", picture.runnable().count(), picture.moves)),
        Span::from(word).fg(color).bold(),
    ])
}

fn worker_lines_of(picture: &Picture, width: u16) -> Vec<Line<'static>> {
    let numbers: BTreeMap<_, usize> = picture.leases.keys().enumerate().map(|(number, key)| (key, number)).collect();
    let line = |(name, worker): (&String, &WorkerPicture)| {
        let shards: Vec<usize> = picture.read_by(name).filter_map(|key| numbers.get(key).copied()).collect();
        let (state, color) = match worker.state {
            WorkerState::Running => ("", Color::Reset),
            WorkerState::Leaving => ("leaving", Color::Yellow),
            WorkerState::Left => ("left", Color::DarkGray),
            WorkerState::Crashed => ("crashed", Color::Red),
        };
        let name = Span::styled(format!("{name:NAME_WIDTH$}"), Style::new().fg(color).add_modifier(Modifier::BOLD));
        let figures = Span::from(format!("{:4} shards {:8} records  ", shards.len(), worker.delivered)).fg(color);
        let used = NAME_WIDTH + 31;
        let room = usize::from(width).saturating_sub(used);
        let rest = if state.is_empty() { cells(&shards, room) } else { vec![Span::from(state).fg(color)] };
        Line::from([vec![name, figures], rest].concat())
    };
    picture.workers.iter().map(line).collect()
}

/// One coloured cell for each shard, numbered while there is room for numbers.
fn cells(shards: &[usize], room: usize) -> Vec<Span<'static>> {
    const COLORS: [Color; 6] = [Color::Cyan, Color::Magenta, Color::Green, Color::Yellow, Color::Blue, Color::LightRed];
    let numbered = shards.len() * 4 <= room;
    let cell = |shard: &usize| {
        let text = if numbered { format!("{shard:3} ") } else { "▪".into() };
        Span::from(text).fg(COLORS[shard % COLORS.len()])
    };
    shards.iter().take(room.max(1)).map(cell).collect()
}

fn draw_gauge(frame: &mut Frame<'_>, area: Rect, what: &str, count: u64, target: u64, color: Color) {
    #[expect(clippy::cast_precision_loss, reason = "a bar needs no more")]
    let ratio = (count as f64 / target.max(1) as f64).clamp(0.0, 1.0);
    let label = format!("{what} {count} of {target}");
    frame.render_widget(Gauge::default().gauge_style(Style::new().fg(color)).ratio(ratio).label(label), area);
}
