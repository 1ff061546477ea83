//! How well the running node is: what the doctor finds in what it counts anyway, and in a look at its host now and then.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::config::Config;
use super::super::doctor::evidence::{Evidence, System};
use super::super::doctor::{Report, examine, gather};
use super::super::view::View;

/// Time between two looks at the host: files of /proc are read, and a small one is written into the data folder.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// What is known of the host.
#[derive(Debug, Default)]
pub(super) struct Wellness(Mutex<Option<Known>>);

#[derive(Clone, Debug)]
struct Known {
    around: Arc<Evidence>,
    /// What the system had counted at the first look.
    counted: System,
}

impl Wellness {
    /// Looks at the host again and again; never ends.
    pub(super) async fn look(&self, config: impl Fn() -> Config, gateway: Option<SocketAddr>) {
        loop {
            self.look_once(config(), gateway).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Looks at the host.
    async fn look_once(&self, config: Config, gateway: Option<SocketAddr>) {
        let around = tokio::task::spawn_blocking(move || gather::around(&config, gateway));
        // A look that failed is no finding.
        let Ok(around) = around.await else { return };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = known.as_ref().map_or(around.system, |known| known.counted);
        *known = Some(Known { around: Arc::new(around), counted });
    }

    /// The same report, after a look where there was none.
    pub(super) async fn report_at_last(&self, config: Config, view: &View) -> Option<Report> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.look_once(config.clone(), None).await;
        }
        self.report(&config, view)
    }

    /// What the doctor finds at this moment; nothing before the first look.
    pub(super) fn report(&self, config: &Config, view: &View) -> Option<Report> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(examine(&gather::with_view(&known.around, config, view, &known.counted)))
    }
}
