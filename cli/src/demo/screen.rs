//! Showing the story: live on a terminal, as plain lines elsewhere.

use std::io::{self, Stdout};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::text::Line;
use ratatui::{Terminal, TerminalOptions, Viewport};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::view;

/// The task that shows the story, if there is one.
pub(super) struct Screen {
    showing: Option<JoinHandle<()>>,
    close: CancellationToken,
}

/// Ten pictures a second are enough to follow, and cost nothing.
const FRAME: Duration = Duration::from_millis(100);

type Live = Terminal<CrosstermBackend<Stdout>>;

impl Screen {
    /// Shows nothing.
    pub(super) fn silent() -> Self {
        Self { showing: None, close: CancellationToken::new() }
    }

    /// Shows the board: live if asked for and the terminal plays along, else line by line.
    pub(super) fn open(live: bool, board: Board, workers: u16) -> Self {
        let close = CancellationToken::new();
        let height = view::height(workers);
        let options = TerminalOptions { viewport: Viewport::Inline(height) };
        let terminal =
            live.then(|| Terminal::with_options(CrosstermBackend::new(io::stdout()), options).ok()).flatten();
        let showing = tokio::spawn(show(board, terminal, close.clone()));
        Self { showing: Some(showing), close }
    }

    /// Shows what is still to be shown, and stops.
    pub(super) async fn close(self) {
        self.close.cancel();
        if let Some(showing) = self.showing {
            // A screen that cannot be drawn on must not spoil the story.
            let _drawn = showing.await;
        }
    }
}

async fn show(board: Board, mut terminal: Option<Live>, close: CancellationToken) {
    let mut shown = 0;
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            biased;
            () = close.cancelled() => true,
            _ = frames.tick() => false,
        };
        let picture = board.picture();
        let news = &picture.lines[shown..];
        shown = picture.lines.len();
        let drawn = match &mut terminal {
            None => {
                news.iter().for_each(|line| println!("{line}"));
                Ok(())
            }
            Some(terminal) => draw(terminal, news, &picture),
        };
        if drawn.is_err() {
            terminal = None;
        }
        if last {
            // The view has served its time; the story's lines stay, and the figures follow them.
            let _cleared = terminal.as_mut().map(Terminal::clear);
            return;
        }
    }
}

/// The story's lines scroll by above the view, which stays.
fn draw(terminal: &mut Live, news: &[String], picture: &super::board::Picture) -> io::Result<()> {
    for line in news {
        terminal.insert_before(1, |buffer| {
            buffer.set_line(0, 0, &Line::from(line.as_str()), buffer.area.width);
        })?;
    }
    terminal.draw(|frame| view::draw(frame, picture)).map(|_| ())
}
