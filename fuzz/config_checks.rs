//! What must hold for the configuration file, whatever stands in it.

use trackerless::daemon::config::Config;

/// A file is read, or refused with a message that names the file and is one line for each thing it says.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::of_file(text) {
        Ok(config) => {
            let memory = config.memory();
            assert!(memory.peers.checked_add(memory.items).and_then(|sum| sum.checked_add(memory.gateway)).is_some());
        }
        Err(error) => assert!(error.to_string().contains("trackerless.toml"), "{error}"),
    }
}
