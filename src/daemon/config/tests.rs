//! The layers, their order, and every error with its place and cure.

use super::*;

use tempfile::NamedTempFile;

use crate::tracker::broker::Policy;

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn load(
    file: Option<&NamedTempFile>,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    // A file that is always there, so that the one of the person who runs the tests is not read.
    let empty = self::file("");
    Config::load(&Sources {
        file: Some(file.unwrap_or(&empty).path().to_owned()),
        environment: environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        flags: flags.iter().map(|(key, value)| (Setting::named(key).unwrap(), vec![value.to_string()])).collect(),
        ..Sources::default()
    })
}

fn error(text: &str) -> (String, String) {
    let file = file(text);
    let error = load(Some(&file), &[], &[]).unwrap_err();
    (error.to_string().replace(&file.path().display().to_string(), "FILE"), error.cure())
}

#[test]
fn each_layer_overrides_the_one_before_and_is_remembered() {
    let file = file("# one\npeer_memory = 1_0\nlan = true\nlog = \"debug\"\n");
    let config = load(Some(&file), &[("TRACKERLESS_LOG", "warn"), ("TRACKERLESS_LAN", "no")], &[("log", "trace")]);
    let config = config.unwrap();
    assert_eq!((config.memory().peers, config.lan, config.log.as_str()), (10 << 20, false, "trace"));
    assert_eq!(config.origins.peer_memory, Origin::File { path: file.path().to_owned(), line: 2 });
    assert_eq!(config.origins.lan, Origin::Variable("TRACKERLESS_LAN".to_owned()));
    assert_eq!(config.origins.log, Origin::Flag("log".to_owned()));
    assert_eq!(config.origins.bind, Origin::Default);
}

#[test]
fn every_setting_is_read_from_the_environment() {
    for setting in &SETTINGS {
        let texts = setting.default_texts().join(",");
        let config = load(None, &[(&setting.variable(), &texts)], &[]).unwrap();
        assert_eq!(*(setting.origin)(&config.origins), Origin::Variable(setting.variable()));
        assert_eq!(config.settings, Settings::default(), "{}", setting.key);
    }
}

#[test]
fn what_is_printed_is_a_valid_file_with_the_same_meaning() {
    let flags = [("lan", "true"), ("bind", "127.0.0.1:0,[::1]:7"), ("bootstrap", ""), ("data_dir", "a \"b\"\\c")];
    let config = load(None, &[], &flags).unwrap();
    let printed = file(&config.to_toml());
    let again = load(Some(&printed), &[], &[]).unwrap();
    assert_eq!(config.settings, again.settings);
    for entry in again.entries() {
        assert!(matches!(entry.origin, Origin::File { .. }), "{} was not printed", entry.setting.key);
    }
    assert!(config.to_toml().lines().all(|line| !line.starts_with('#') || line.len() <= 100));
}

#[test]
fn an_unknown_key_names_the_nearest_and_the_line() {
    let (what, cure) = error("log = \"info\"\n\nbootstraps = []\n");
    assert_eq!(what, "FILE, line 3: there is no setting \"bootstraps\"");
    assert_eq!(cure, "did you mean bootstrap?");
    assert_eq!(error("[network]\nlan = true\n").0, "FILE, line 1: there is no setting \"network\"");
}

#[test]
fn a_wrong_value_names_key_value_place_and_cure() {
    let (what, cure) = error("\nbind = [\"localhost:6880\"]\n");
    assert_eq!(what, "FILE, line 2: bind = \"localhost:6880\": \"localhost:6880\" is not an IP address and a port");
    assert_eq!(cure, "give an IP address and a port, as in 0.0.0.0:6880 or [::]:6880");
    assert_eq!(error("lan = \"true\"").0, "FILE, line 1: lan = \"true\": it is of type string");
    assert_eq!(error("bind = [1, 2]").0, "FILE, line 1: bind = [1, 2]: not all of its items are strings");
    assert!(error("peer_memory = 0").1.contains("from 1 to"));
    assert!(error("log = \"loud=very\"").0.contains("not a log filter"));
    let error = load(None, &[("TRACKERLESS_LAN", "maybe")], &[]).unwrap_err();
    assert_eq!(error.to_string(), "variable TRACKERLESS_LAN: lan = \"maybe\": \"maybe\" is neither true nor false");
}

#[test]
fn no_password_of_a_client_is_shown_whatever_is_wrong_with_it() {
    for wrong in [
        "client = \"utorrent+http://u:hunter2@h:1\"",
        "client = [\"qbittorrent+http://u:hunter2@h:1\", \"qbittorrent+http://u:hunt/er2@h:1\"]",
        "client = [\"qbittorrent+http://u:hunter2@h:1\", 7]",
        "lan = \"qbittorrent+http://u:hunter2@h:1\"",
    ] {
        let (what, cure) = error(wrong);
        assert!(!format!("{what} {cure}").contains("hunt"), "{what} {cure}");
    }
    assert!(error("client = \"utorrent+http://h:1\"").0.contains("no client is called \"utorrent\""));
    let config =
        load(None, &[("TRACKERLESS_CLIENT", "qbittorrent+http://u:hunter2@h:1,aria2+http://:x@h:2")], &[]).unwrap();
    assert!(!format!("{config:?}{}", config.to_toml()).contains("hunter2"));
    assert!(config.to_toml().contains("client = [\"qbittorrent+http://u@h:1\", \"aria2+http://h:2\"]"));
    assert_eq!(config.clients().len(), 2);
}

#[test]
fn broken_toml_and_missing_files_are_told_apart() {
    assert!(error("lan = true\nlog = \n").0.starts_with("FILE, line 2: this is not TOML"));
    let sources = Sources { file: Some("/no/such/file".into()), ..Sources::default() };
    assert!(matches!(Config::load(&sources), Err(ConfigError::Unreadable { .. })));
    let environment = vec![(FILE_VARIABLE.to_owned(), "/no/such/file".to_owned())];
    let sources = Sources { environment, ..Sources::default() };
    assert!(matches!(Config::load(&sources), Err(ConfigError::Unreadable { .. })));
}

/// `read_only` and `adaptive` contradicted each other: with both, a node that was told never to answer did.
#[test]
fn replaced_settings_are_refused_in_every_layer_with_the_name_of_the_new_one() {
    let (what, cure) = error("read_only = true\n");
    assert_eq!(what, "FILE, line 1: the setting read_only was replaced by serve");
    assert_eq!(cure, "give serve = \"never\" where read_only was on, and nothing where it was off");
    let error = load(None, &[("TRACKERLESS_ADAPTIVE", "true")], &[]).unwrap_err();
    assert_eq!(error.to_string(), "variable TRACKERLESS_ADAPTIVE: the setting adaptive was replaced by serve");
    assert!(error.cure().contains("TRACKERLESS_SERVE=once-reached"), "{}", error.cure());
    let flags = Sources { replaced_flags: vec![Replaced::named("adaptive").unwrap()], ..Sources::default() };
    let error = Config::load(&flags).unwrap_err();
    assert_eq!(error.to_string(), "flag --adaptive: the setting adaptive was replaced by serve");
    assert!(error.cure().contains("--serve once-reached"), "{}", error.cure());
}

#[test]
fn the_shares_of_the_memory_limit_leave_a_quarter_for_the_program() {
    for (limit, peer_memory) in [("32 MiB", "64"), ("128 MiB", "64"), ("128 MiB", "1000000"), ("1 TiB", "1000000")] {
        let config = load(None, &[], &[("memory_limit", limit), ("peer_memory", peer_memory)]).unwrap();
        let Memory { peers, items, gateway } = config.memory();
        let all = config.memory_limit.bytes() as usize;
        assert!(peers + items + gateway <= all / 4 * 3, "{limit}: {peers} {items} {gateway}");
        assert!(peers <= all / 2 && items <= ITEM_BYTES && gateway == config.gateway_settings().memory_bytes);
    }
    let usual = load(None, &[], &[]).unwrap().memory();
    assert_eq!(usual, Memory { peers: 64 << 20, items: 8 << 20, gateway: 24 << 20 });
    assert_eq!(load(None, &[], &[("peer_memory", "7")]).unwrap().memory().peers, 7 << 20);
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let config = load(None, &[("TRACKERLESS_PORT", "tcp://10.0.0.1:1"), ("OTHER", "x")], &[]).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("TRACKERLESS_PORT"));
}

#[test]
fn a_private_network_asks_no_public_router() {
    let routers = |flags: &[(&str, &str)]| load(None, &[], flags).unwrap().routers().len();
    assert_eq!(routers(&[]), 5);
    assert_eq!(routers(&[("lan", "true")]), 0);
    assert_eq!(routers(&[("lan", "true"), ("bootstrap", "127.0.0.1:6881")]), 1);
    assert_eq!(routers(&[("lan", "true"), ("bootstrap", "dht.libtorrent.org:25401,10.0.0.1:6881")]), 1);
    assert_eq!(routers(&[("no_bootstrap", "true"), ("bootstrap", "127.0.0.1:6881")]), 0);
}

#[test]
fn the_gateway_is_configured_in_five_keys() {
    let config = load(None, &[], &[]).unwrap();
    assert_eq!(config.gateway, Some("127.0.0.1:6969".parse().unwrap()));
    assert!(!config.origins.gateway.is_chosen());
    assert_eq!(config.gateway_settings().policy, Policy::VerifiedPublic);
    let hash = "0f".repeat(20);
    let flags = [("gateway", "off"), ("gateway_announce", "never"), ("gateway_deny", &hash), ("gateway_lan", "")];
    let config = load(None, &[], &flags).unwrap();
    assert_eq!((config.gateway, config.origins.gateway.is_chosen()), (None, true));
    assert_eq!(config.gateway_settings().policy, Policy::Never);
    assert!(config.gateway_settings().denied.contains(&hash.parse().unwrap()));
    assert!(config.gateway_settings().site.ranges().is_empty());
    assert!(error("gateway_announce = \"sometimes\"").1.contains("verified-public or never or always"));
}
