//! How a torrent client is named: `qbittorrent+http://user:password@127.0.0.1:8080?port_file=/tmp/port`.
//!
//! The kind of the client, the way to its interface, who we are there, and what is to be done with its port. The text
//! that people see never has the password in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use reqwest::Url;

use super::secret::Secret;

/// A torrent client that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// Which program it is.
    pub kind: Kind,
    /// Where its interface is.
    pub way: Way,
    /// Who we are there; `None` where it asks for no name.
    pub user: Option<Box<str>>,
    /// What proves it.
    pub password: Password,
    /// What is to be done with its port.
    pub options: Options,
}

/// The programs whose interfaces are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// qBittorrent, by its Web API.
    Qbittorrent,
    /// Transmission, by its RPC.
    Transmission,
    /// Deluge, by the JSON-RPC of its web interface.
    Deluge,
    /// rTorrent, by XML-RPC over SCGI or HTTP.
    Rtorrent,
    /// aria2, by its JSON-RPC.
    Aria2,
}

/// The way to the interface of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By HTTP or HTTPS: a URL without user and password.
    Http(Url),
    /// By SCGI over TCP: a host and a port.
    Scgi(String),
    /// By SCGI over a Unix socket.
    Unix(PathBuf),
}

/// Where the password comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Password {
    /// There is none.
    #[default]
    None,
    /// It was part of the URL.
    Given(Secret),
    /// It is the first line of a file, read again at each login.
    File(PathBuf),
    /// It is the value of an environment variable.
    Variable(String),
}

/// What else the URL says, after a question mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The file that holds the port at which the client is reached, as VPN programs write it.
    pub port_file: Option<PathBuf>,
    /// The port at which the client is reached, whatever it says itself.
    pub announce_port: Option<u16>,
    /// The client's port is opened at the router as well.
    pub map_port: bool,
    /// The world reaches the client at our address, whatever it looks like.
    pub same_address: bool,
}

/// Why a text names no client. No message has a part of the text in it that may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no scheme.
    #[error("it does not begin with the kind of a client and the way to it, as in qbittorrent+http://")]
    NoScheme,
    /// A client that is not known.
    #[error("no client is called {0:?}; known are {known}", known = Kind::names())]
    UnknownKind(String),
    /// A way that is not known, or not for this client.
    #[error("{kind} is not reached by {way:?}; possible are {possible}")]
    UnknownWay {
        /// Which client.
        kind: &'static str,
        /// What was given.
        way: String,
        /// What could be given.
        possible: &'static str,
    },
    /// What follows the scheme is no URL.
    #[error(
        "what follows the scheme is not a URL ({0}); in a password the characters / ? # @ % : , are written as %2F %3F %23 %40 %25 %3A %2C"
    )]
    NotAUrl(String),
    /// A path or a socket is missing.
    #[error("{0}")]
    Missing(&'static str),
    /// An option that does not exist.
    #[error(
        "there is no option {0:?}; options are password_file, password_variable, port_file, announce_port, map_port and same_address"
    )]
    UnknownOption(String),
    /// The value of an option is wrong.
    #[error("the option {name} {why}")]
    WrongOption {
        /// Which.
        name: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A password was given twice.
    #[error("it has several passwords; give one")]
    SeveralPasswords,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Qbittorrent, Self::Transmission, Self::Deluge, Self::Rtorrent, Self::Aria2];

    /// The word that begins its address.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Qbittorrent => "qbittorrent",
            Self::Transmission => "transmission",
            Self::Deluge => "deluge",
            Self::Rtorrent => "rtorrent",
            Self::Aria2 => "aria2",
        }
    }

    /// Its name, as its authors write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qbittorrent => "qBittorrent",
            Self::Transmission => "Transmission",
            Self::Deluge => "Deluge",
            Self::Rtorrent => "rTorrent",
            Self::Aria2 => "aria2",
        }
    }

    /// Where its interface is below the root of a server, if the URL has no path.
    const fn path(self) -> &'static str {
        match self {
            Self::Qbittorrent | Self::Deluge => "/",
            Self::Transmission => "/transmission/rpc",
            Self::Rtorrent => "/RPC2",
            Self::Aria2 => "/jsonrpc",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::word).join(", ")
    }
}

impl FromStr for ClientAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once(':').ok_or(AddressError::NoScheme)?;
        let (kind, way) = scheme.split_once('+').ok_or(AddressError::NoScheme)?;
        let known = Kind::ALL.into_iter().find(|known| known.word() == kind);
        let kind = known.ok_or_else(|| AddressError::UnknownKind(kind.to_owned()))?;
        match (kind, way) {
            (Kind::Rtorrent, "unix") => unix(rest),
            (Kind::Rtorrent, "scgi") => scgi(rest),
            (_, "http" | "https") => http(kind, way, rest),
            _ => {
                let possible = if kind == Kind::Rtorrent { "unix, scgi, http and https" } else { "http and https" };
                Err(AddressError::UnknownWay { kind: kind.name(), way: way.to_owned(), possible })
            }
        }
    }
}

fn unix(rest: &str) -> Result<ClientAddress, AddressError> {
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    // `unix:/path`, and as URLs of files are written: `unix:///path`.
    let path = path.strip_prefix("//").unwrap_or(path);
    if !path.starts_with('/') {
        return Err(AddressError::Missing(
            "the path of its socket is missing, as in rtorrent+unix:/run/rtorrent/rpc.sock",
        ));
    }
    described(Kind::Rtorrent, Way::Unix(path.into()), query)
}

fn scgi(rest: &str) -> Result<ClientAddress, AddressError> {
    let url = Url::parse(&format!("scgi:{rest}")).map_err(|error| AddressError::NotAUrl(error.to_string()))?;
    let (Some(host), Some(port)) = (url.host_str().filter(|host| !host.is_empty()), url.port()) else {
        return Err(AddressError::Missing("its host and port are missing, as in rtorrent+scgi://127.0.0.1:5000"));
    };
    described(Kind::Rtorrent, Way::Scgi(format!("{host}:{port}")), url.query())
}

fn http(kind: Kind, way: &str, rest: &str) -> Result<ClientAddress, AddressError> {
    let mut url = Url::parse(&format!("{way}:{rest}")).map_err(|error| AddressError::NotAUrl(error.to_string()))?;
    // `http://user:pa/ss@host`: the host would be `user`, and a part of the password would be the path.
    let ends_early = url.path().contains('@') || url.query().is_some_and(|query| query.contains('@'));
    if ends_early || url.fragment().is_some() {
        return Err(AddressError::NotAUrl("it has / ? or # in front of an @".to_owned()));
    }
    let user = decoded(url.username()).filter(|user| !user.is_empty());
    let password = url.password().and_then(decoded).map(|password| Secret::new(&password));
    let query = url.query().map(str::to_owned);
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_err(|()| AddressError::Missing("its host is missing, as in http://127.0.0.1:8080"))?;
    url.set_query(None);
    if url.path() == "/" {
        url.set_path(kind.path());
    }
    let mut address = described(kind, Way::Http(url), query.as_deref())?;
    address.user = user.map(Into::into);
    match (password, &address.password) {
        (Some(given), Password::None) => address.password = Password::Given(given),
        (Some(_), _) => return Err(AddressError::SeveralPasswords),
        (None, _) => {}
    }
    Ok(address)
}

/// The text behind percent codes, if it is UTF-8 (RFC 3986, section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok().map(|()| byte[0])
        });
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).ok()
}

fn described(kind: Kind, way: Way, query: Option<&str>) -> Result<ClientAddress, AddressError> {
    let mut address = ClientAddress { kind, way, user: None, password: Password::None, options: Options::default() };
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value).unwrap_or_default();
        address.take_option(name, &value)?;
    }
    Ok(address)
}

impl ClientAddress {
    /// The address as people give it, with its options and without its password. It names the same client.
    #[must_use]
    pub fn text(&self) -> String {
        let Options { port_file, announce_port, map_port, same_address } = &self.options;
        let path = |path: &PathBuf| encoded(&path.to_string_lossy());
        let (password_file, password_variable) = match &self.password {
            Password::File(file) => (Some(path(file)), None),
            Password::Variable(name) => (None, Some(encoded(name))),
            Password::None | Password::Given(_) => (None, None),
        };
        let options = [
            ("password_file", password_file),
            ("password_variable", password_variable),
            ("port_file", port_file.as_ref().map(path)),
            ("announce_port", announce_port.map(|port| port.to_string())),
            ("map_port", map_port.then(|| "yes".to_owned())),
            ("same_address", same_address.then(|| "yes".to_owned())),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let options = given.collect::<Vec<_>>().join("&");
        if options.is_empty() { self.to_string() } else { format!("{self}?{options}") }
    }

    /// The same client, with a password file and a port file for those that its address does not give.
    #[must_use]
    pub fn with_defaults(mut self, password_file: Option<&Path>, port_file: Option<&Path>) -> Self {
        if let (Password::None, Some(file)) = (&self.password, password_file) {
            self.password = Password::File(file.to_owned());
        }
        if self.options.port_file.is_none() && self.options.announce_port.is_none() {
            self.options.port_file = port_file.map(Path::to_owned);
        }
        self
    }

    fn take_option(&mut self, name: &str, value: &str) -> Result<(), AddressError> {
        let path = |name, value: &str| match value {
            "" => Err(AddressError::WrongOption { name, why: "names no file" }),
            value => Ok(PathBuf::from(value)),
        };
        match name {
            "password_file" => self.take_password(Password::File(path("password_file", value)?))?,
            "password_variable" if value.is_empty() => {
                return Err(AddressError::WrongOption { name: "password_variable", why: "names no variable" });
            }
            "password_variable" => self.take_password(Password::Variable(value.to_owned()))?,
            "port_file" => self.options.port_file = Some(path("port_file", value)?),
            "announce_port" => {
                let port = value.parse().ok().filter(|port| *port != 0);
                let wrong = AddressError::WrongOption { name: "announce_port", why: "is not a port from 1 to 65535" };
                self.options.announce_port = Some(port.ok_or(wrong)?);
            }
            "map_port" => self.options.map_port = switch("map_port", value)?,
            "same_address" => self.options.same_address = switch("same_address", value)?,
            _ => return Err(AddressError::UnknownOption(name.to_owned())),
        }
        Ok(())
    }

    fn take_password(&mut self, password: Password) -> Result<(), AddressError> {
        if self.password != Password::None {
            return Err(AddressError::SeveralPasswords);
        }
        self.password = password;
        Ok(())
    }
}

fn switch(name: &'static str, value: &str) -> Result<bool, AddressError> {
    match value {
        "" | "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(AddressError::WrongOption { name, why: "is neither yes nor no" }),
    }
}

/// A value of an option, so that it reads back: what has a meaning in a query or in a list is written as percent codes.
fn encoded(text: &str) -> String {
    let special = |byte: &u8| !byte.is_ascii_graphic() || b"%&?#@,+\"".contains(byte);
    let one = |byte: u8| if special(&byte) { format!("%{byte:02X}") } else { char::from(byte).to_string() };
    text.bytes().map(one).collect()
}

/// The client as people know it: without password and options.
impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.word();
        match &self.way {
            Way::Unix(path) => write!(f, "{kind}+unix:{}", path.display()),
            Way::Scgi(host) => write!(f, "{kind}+scgi://{host}"),
            Way::Http(url) => {
                let user = self.user.as_ref().map(|user| format!("{}@", encoded(user).replace([':', '/'], "")));
                let (host, path) = (url.host_str().unwrap_or_default(), url.path());
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                let path = if path == self.kind.path() { "" } else { path };
                write!(f, "{kind}+{}://{}{host}{port}{path}", url.scheme(), user.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> ClientAddress {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn clients_have_a_kind_a_way_and_options() {
        let qbittorrent = parse("qbittorrent+http://admin:s%40fe%2F@127.0.0.1:8080?port_file=/tmp/gluetun/port");
        assert_eq!((qbittorrent.kind, qbittorrent.user.as_deref()), (Kind::Qbittorrent, Some("admin")));
        assert_eq!(qbittorrent.password, Password::Given(Secret::new("s@fe/")));
        assert_eq!(qbittorrent.options.port_file, Some("/tmp/gluetun/port".into()));
        assert!(matches!(&qbittorrent.way, Way::Http(url) if url.as_str() == "http://127.0.0.1:8080/"));

        let transmission = parse("transmission+https://box.example:9091?announce_port=51413&map_port");
        assert_eq!((transmission.options.announce_port, transmission.options.map_port), (Some(51413), true));
        assert!(matches!(&transmission.way, Way::Http(url) if url.path() == "/transmission/rpc"));
        assert!(matches!(&parse("aria2+http://:s@h:6800").way, Way::Http(url) if url.path() == "/jsonrpc"));
        assert!(matches!(&parse("aria2+http://h:1/x/rpc").way, Way::Http(url) if url.path() == "/x/rpc"));
        let file = Password::File("/run/secrets/deluge".into());
        assert_eq!(parse("deluge+http://[::1]:8112?password_file=/run/secrets/deluge").password, file);
        assert_eq!(parse("rtorrent+unix:/run/rt.sock").way, Way::Unix("/run/rt.sock".into()));
        assert_eq!(parse("rtorrent+unix:///run/rt.sock?same_address=yes").way, Way::Unix("/run/rt.sock".into()));
        assert_eq!(parse("rtorrent+scgi://[::1]:5000").way, Way::Scgi("[::1]:5000".to_owned()));
    }

    #[test]
    fn what_people_see_names_the_client_and_has_no_password() {
        for (text, shown) in [
            ("qbittorrent+http://admin:secret@127.0.0.1:8080", "qbittorrent+http://admin@127.0.0.1:8080"),
            ("aria2+http://:secret@h:6800/jsonrpc?map_port=yes", "aria2+http://h:6800?map_port=yes"),
            ("deluge+https://h/web/?password_file=/a%26b", "deluge+https://h/web/?password_file=/a%26b"),
            ("transmission+http://u:secret@h:1?announce_port=7", "transmission+http://u@h:1?announce_port=7"),
            ("rtorrent+unix:/a?port_file=/p", "rtorrent+unix:/a?port_file=/p"),
            ("rtorrent+scgi://h:1?same_address=yes", "rtorrent+scgi://h:1?same_address=yes"),
            ("qbittorrent+http://h?password_variable=QBT", "qbittorrent+http://h?password_variable=QBT"),
        ] {
            let address = parse(text);
            assert_eq!(address.text(), shown);
            assert_eq!(parse(&address.text()).text(), shown, "it reads back");
            for told in [address.to_string(), format!("{address:?}"), address.text()] {
                assert!(!told.contains("secret") && !told.contains("hunter"), "{told}");
            }
        }
    }

    #[test]
    fn what_is_said_of_all_clients_counts_where_an_address_is_silent() {
        let (secret, port) = (Path::new("/secret"), Path::new("/port"));
        let text = |text: &str| parse(text).with_defaults(Some(secret), Some(port)).text();
        for (given, meant) in [
            ("deluge+http://h:1", "deluge+http://h:1?password_file=/secret&port_file=/port"),
            ("deluge+http://:p@h:1?announce_port=7", "deluge+http://h:1?announce_port=7"),
            (
                "deluge+http://h:1?password_variable=A&port_file=/b",
                "deluge+http://h:1?password_variable=A&port_file=/b",
            ),
        ] {
            assert_eq!(text(given), meant);
            assert_eq!(parse(given).with_defaults(None, None), parse(given));
        }
    }

    #[test]
    fn whatever_is_wrong_is_said_without_the_password() {
        for (text, why) in [
            ("http://127.0.0.1:8080", "does not begin with the kind"),
            ("utorrent+http://u:hunter2@h:1", "no client is called \"utorrent\"; known are qbittorrent, transmission"),
            ("qbittorrent+ftp://u:hunter2@h:1", "not reached by \"ftp\"; possible are http and https"),
            ("aria2+unix:/a", "possible are http and https"),
            ("rtorrent+ws://h:1", "possible are unix, scgi, http and https"),
            ("qbittorrent+http://u:hunter2/3@h:1", "not a URL"),
            ("qbittorrent+http://u:12/hunter2@h:1", "not a URL"),
            ("qbittorrent+http://u:1?hunter2@h:1", "not a URL"),
            ("qbittorrent+http://u:1#hunter2@h:1", "not a URL"),
            ("qbittorrent+http://", "not a URL"),
            ("rtorrent+unix:a", "path of its socket"),
            ("rtorrent+scgi://h", "host and port"),
            ("qbittorrent+http://u:hunter2@h:1?password_file=/a", "several passwords"),
            ("qbittorrent+http://h:1?password_file=/a&password_variable=B", "several passwords"),
            ("qbittorrent+http://h:1?port=7", "no option \"port\""),
            ("qbittorrent+http://h:1?announce_port=0", "announce_port is not a port"),
            ("qbittorrent+http://h:1?announce_port=65536", "announce_port is not a port"),
            ("qbittorrent+http://h:1?port_file=", "names no file"),
            ("qbittorrent+http://h:1?password_variable=", "names no variable"),
            ("qbittorrent+http://h:1?map_port=maybe", "neither yes nor no"),
            ("", "does not begin"),
        ] {
            let error = text.parse::<ClientAddress>().expect_err(text).to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn passwords_read_back_and_are_never_shown(password in "[ -~]{8,20}", user in "[a-z]{0,6}") {
            let written: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let address = parse(&format!("qbittorrent+http://{user}:{written}@127.0.0.1:8080"));
            prop_assert_eq!(&address.password, &Password::Given(Secret::new(&password)));
            let told = [address.to_string(), format!("{address:?}"), address.text()].join(" ");
            prop_assert!(!told.contains(&password));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(qbittorrent|rtorrent|aria2)?\\+?(http|unix|scgi)?:?\\PC{0,40}") {
            if let Ok(address) = text.parse::<ClientAddress>() {
                let again: ClientAddress = address.text().parse().map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
                prop_assert_eq!(again.text(), address.text());
            }
        }
    }
}
