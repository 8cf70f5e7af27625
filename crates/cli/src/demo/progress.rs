//! How far the demo is, shown on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of bytes on standard error.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of `bytes` bytes, under a title.
    pub(crate) fn new(title: &'static str, bytes: u64) -> Self {
        let bar = ProgressBar::new(bytes).with_message(title);
        let template =
            "{msg:24} {bar:32.green/dim} {binary_bytes:>10} of {binary_total_bytes}  {binary_bytes_per_sec}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        Self(bar)
    }

    /// None at all.
    #[cfg(test)]
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
