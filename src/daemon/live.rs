//! The settings in force while the node runs. Some can be changed then: by the control interface, or by reading the
//! configuration again (SIGHUP). A change is all or nothing, and those whom it concerns follow it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::config::{Config, ConfigError, SETTINGS, Setting, Sources};

/// The settings that can be changed while the node runs.
const CHANGEABLE: [&str; 8] = [
    "new_destinations_per_second",
    "new_destinations_burst",
    "announce_port",
    "watch",
    "watch_max",
    "client",
    "password_file",
    "port_file",
];
/// Those that only reading the configuration again changes: they name files and hosts to which passwords go, which is more
/// than the token of the control interface is to give.
const NOT_BY_CONTROL: [&str; 3] = ["client", "password_file", "port_file"];

/// Whether the control interface may change it while the node runs.
pub(super) fn is_writable(setting: &Setting) -> bool {
    is_changeable(setting) && !NOT_BY_CONTROL.contains(&setting.key)
}

fn is_changeable(setting: &Setting) -> bool {
    CHANGEABLE.contains(&setting.key)
}

/// The settings in force, for all who read, change and follow them.
#[derive(Clone, Debug)]
pub struct Live(Arc<watch::Sender<Arc<Config>>>);

/// What reading the configuration again has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reloaded {
    /// Settings that have another value now.
    pub(super) changed: Vec<&'static str>,
    /// Settings whose new value needs a new start.
    pub(super) need_restart: Vec<&'static str>,
}

impl Live {
    /// These are in force from now on.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(config))))
    }

    /// Those of this moment.
    #[must_use]
    pub fn now(&self) -> Arc<Config> {
        Arc::clone(&self.0.borrow())
    }

    /// Each change from now on.
    pub(super) fn follow(&self) -> watch::Receiver<Arc<Config>> {
        self.0.subscribe()
    }

    /// Puts in force what `change` makes of those of this moment, unless it refuses.
    pub(super) fn change<E>(&self, change: impl FnOnce(&Config) -> Result<Config, E>) -> Result<Arc<Config>, E> {
        let mut outcome = Ok(());
        self.0.send_if_modified(|known| match change(known) {
            Ok(changed) => {
                *known = Arc::new(changed);
                true
            }
            Err(error) => {
                outcome = Err(error);
                false
            }
        });
        outcome.map(|()| self.now())
    }

    /// Reads the configuration again, and puts in force what can be changed now. What it says replaces what the control
    /// interface has set.
    pub(super) fn reload(&self, sources: &Sources) -> Result<Reloaded, ConfigError> {
        let read = Config::load(sources)?;
        let mut reloaded = Reloaded::default();
        self.change(|config| {
            let mut next = config.clone();
            for setting in SETTINGS.iter().filter(|setting| !setting.is_same(config, &read)) {
                if is_changeable(setting) {
                    setting.adopt(&mut next, &read);
                    reloaded.changed.push(setting.key);
                } else {
                    reloaded.need_restart.push(setting.key);
                }
            }
            Ok::<_, ConfigError>(next)
        })?;
        Ok(reloaded)
    }
}

/// Reads the configuration again at each `request`, and says what came of it; ends when there are no more requests.
pub(super) async fn reload_on(live: &Live, sources: &Sources, mut request: impl AsyncFnMut()) {
    loop {
        request().await;
        let (live, sources) = (live.clone(), sources.clone());
        match spawn_blocking(move || live.reload(&sources)).await {
            Ok(Ok(Reloaded { changed, need_restart })) => {
                let list = |keys: &[&str]| if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
                let (changed, waiting) = (list(&changed), list(&need_restart));
                tracing::info!(changed, need_a_new_start = waiting, "the configuration was read again");
            }
            Ok(Err(error)) => {
                tracing::error!(%error, cure = error.cure(), "the configuration was read again and is wrong: the old one goes on");
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of_file(text: &str) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("trackerless.toml");
        fs::write(&file, text).unwrap();
        (folder, Sources { file: Some(file), ..Sources::default() })
    }

    #[test]
    fn what_can_change_changes_the_rest_is_named_and_an_error_changes_nothing() {
        let (folder, sources) =
            of_file("announce_port = 5\nserve = \"always\"\nclient = [\"aria2+http://:a@127.0.0.1\"]\n");
        let file = folder.path().join("trackerless.toml");
        let live = Live::new(Config::load(&sources).unwrap());
        let mut changes = live.follow();
        assert_eq!(live.reload(&sources).unwrap(), Reloaded::default());

        // Another password is another client, though it is printed the same.
        fs::write(&file, "announce_port = 6\nserve = \"never\"\nclient = [\"aria2+http://:b@127.0.0.1\"]\n").unwrap();
        let reloaded = live.reload(&sources).unwrap();
        assert_eq!((reloaded.changed, reloaded.need_restart), (vec!["announce_port", "client"], vec!["serve"]));
        assert_eq!(live.now().announce_port.get(), 6);
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();

        fs::write(&file, "announce_port = 7\nwatch_max = 0\n").unwrap();
        assert!(live.reload(&sources).unwrap_err().to_string().contains("watch_max"));
        assert_eq!(live.now().announce_port.get(), 6);
        assert!(!changes.has_changed().unwrap());
    }

    #[test]
    fn what_can_change_is_a_setting_and_no_password_goes_by_the_control_interface() {
        for key in CHANGEABLE {
            assert!(Setting::named(key).is_some(), "{key}");
        }
        for key in NOT_BY_CONTROL {
            assert!(!is_writable(Setting::named(key).unwrap()), "{key}");
        }
        assert!(is_writable(Setting::named("watch").unwrap()) && !is_writable(Setting::named("bind").unwrap()));
    }
}
