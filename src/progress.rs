//! How far a run of windows or messages is: a bar where a person watches, one line of life every ten seconds where nobody does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress {
    job: String,
    /// what is counted: `windows` or `messages`
    unit: &'static str,
    total: u64,
    done: AtomicU64,
    rows: AtomicU64,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(job: &str, unit: &'static str, total: u64, terminal: bool) -> Progress {
        Progress {
            job: job.to_owned(),
            unit,
            total,
            done: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            started: Instant::now(),
            bar: terminal.then(|| bar(job, unit, total)),
        }
    }

    /// One more is done, and so many rows came of it.
    pub fn finished(&self, rows: u64) {
        self.advance(1, rows);
    }

    pub fn advance(&self, done: u64, rows: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{rows} rows"));
            bar.inc(done);
        }
    }

    /// The line of life; a bar moves by itself.
    pub fn beat(&self) {
        if self.bar.is_none() {
            let done = self.done.load(Ordering::Relaxed);
            let rows = self.rows.load(Ordering::Relaxed);
            let seconds = self.started.elapsed().as_secs();
            let left_s = (self.total.saturating_sub(done) * seconds).checked_div(done);
            tracing::info!(
                job = self.job,
                done,
                of = self.total,
                unit = self.unit,
                rows,
                seconds,
                left_s,
                "under way"
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(job: &str, unit: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let template = format!(
        "{{prefix}} {{bar:30}} {{pos}}/{{len}} {unit} · {{msg}} · {{elapsed}} · {{eta}} left"
    );
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.set_prefix(job.to_owned());
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
