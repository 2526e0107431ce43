//! How far a run of windows is: a bar where a person watches, one line of life every ten seconds where nobody does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress {
    job: String,
    windows: u64,
    done: AtomicU64,
    rows: AtomicU64,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(job: &str, windows: usize, terminal: bool) -> Progress {
        let windows = windows as u64;
        Progress {
            job: job.to_owned(),
            windows,
            done: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            started: Instant::now(),
            bar: terminal.then(|| bar(job, windows)),
        }
    }

    pub fn finished(&self, rows: u64) {
        self.done.fetch_add(1, Ordering::Relaxed);
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{rows} rows"));
            bar.inc(1);
        }
    }

    /// The line of life; a bar moves by itself.
    pub fn beat(&self) {
        if self.bar.is_none() {
            let done = self.done.load(Ordering::Relaxed);
            let rows = self.rows.load(Ordering::Relaxed);
            let seconds = self.started.elapsed().as_secs();
            tracing::info!(
                job = self.job,
                done,
                windows = self.windows,
                rows,
                seconds,
                "building"
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

fn bar(job: &str, windows: u64) -> ProgressBar {
    let bar = ProgressBar::new(windows);
    let template = "{prefix} {bar:30} {pos}/{len} windows · {msg} · {elapsed} · {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(job.to_owned());
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}
