//! rTorrent, by XML-RPC over SCGI, or over HTTP where a web server stands in front.

use super::address::Way;
use super::answer::{self, Answer, Reported, Torrents, Whereabouts};
use super::http::{Http, unexpected};
use super::scgi;
use super::secret::Secret;
use super::trouble::Trouble;
use super::xmlrpc::{self, Outcome, Value};

/// What is asked of each torrent: the columns of a row.
const COLUMNS: [&str; 7] =
    ["d.hash=", "d.is_active=", "d.is_open=", "d.complete=", "d.is_private=", "d.is_meta=", "d.name="];

/// What is asked of the client itself.
const SETTINGS: [&str; 4] =
    ["network.listen.port", "network.bind_address", "network.local_address", "network.proxy_address"];

/// A conversation with rTorrent.
#[derive(Debug)]
pub struct Rtorrent {
    way: Way,
    http: Option<Http>,
    /// A name that is not UTF-8 makes some versions refuse the whole list: it is then asked for without names.
    nameless: bool,
}

impl Rtorrent {
    /// A conversation that has not begun.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn new(way: &Way) -> Result<Self, Trouble> {
        let http = if let Way::Http(url) = way { Some(Http::new(url)?) } else { None };
        Ok(Self { way: way.clone(), http, nameless: false })
    }

    /// Its HTTP side, if it has one.
    pub const fn http(&self) -> Option<&Http> {
        self.http.as_ref()
    }

    /// Asks for everything.
    ///
    /// # Errors
    /// It gives nothing.
    pub async fn ask(&mut self, user: Option<&str>, password: Option<&Secret>) -> Result<Answer, Trouble> {
        let rows = match self.rows((user, password)).await? {
            Outcome::Value(rows) => rows,
            Outcome::Fault(_) => {
                self.nameless = true;
                let again = self.rows((user, password)).await;
                self.nameless = matches!(again, Ok(Outcome::Value(_)));
                match again? {
                    Outcome::Value(rows) => rows,
                    Outcome::Fault(words) if words.contains("not defined") => {
                        return Err(Trouble::Lacks("d.multicall2"));
                    }
                    Outcome::Fault(words) => return Err(Trouble::Strange(words)),
                }
            }
        };
        let settings = self.call((user, password), &xmlrpc::call_all(&SETTINGS)).await?;
        let settings = if let Outcome::Value(value) = settings { xmlrpc::all_of(&value) } else { Vec::new() };
        told(&rows, &settings)
    }

    async fn rows(&mut self, login: (Option<&str>, Option<&Secret>)) -> Result<Outcome, Trouble> {
        let columns = &COLUMNS[..COLUMNS.len() - usize::from(self.nameless)];
        let parameters: Vec<&str> = ["", "main"].into_iter().chain(columns.iter().copied()).collect();
        self.call(login, &xmlrpc::call("d.multicall2", &parameters)).await
    }

    async fn call(
        &mut self,
        (user, password): (Option<&str>, Option<&Secret>),
        call: &str,
    ) -> Result<Outcome, Trouble> {
        let (Some(http), Way::Http(url)) = (&mut self.http, &self.way) else {
            return xmlrpc::read(&scgi::call(&self.way, call.as_bytes()).await?);
        };
        let mut request = http.post(url.clone()).header("content-type", "text/xml").body(call.to_owned());
        if let Some(password) = password {
            request = request.basic_auth(user.unwrap_or_default(), Some(password.expose()));
        }
        let reply = http.send(request).await?;
        match reply.status {
            200 => xmlrpc::read(&reply.body),
            401 if password.is_none() => Err(Trouble::NeedsPassword),
            401 => Err(Trouble::Refused),
            404 => Err(Trouble::Lacks("XML-RPC at this path")),
            status => Err(unexpected(status)),
        }
    }
}

fn told(rows: &Value, settings: &[Option<Value>]) -> Result<Answer, Trouble> {
    let mut torrents = Torrents::default();
    for row in rows.items().ok_or_else(|| Trouble::Strange("the list is no array".to_owned()))? {
        let cells = row.items().unwrap_or_default();
        let number = |column: usize| cells.get(column).and_then(Value::number).unwrap_or_default();
        let infohash = cells.first().and_then(Value::text).unwrap_or_default();
        let name = cells.get(6).and_then(Value::text).unwrap_or_default();
        let (is_active, is_open, complete, is_private, is_meta) =
            (number(1), number(2), number(3), number(4), number(5));
        // A magnet link is a torrent of its own kind until its metadata is there.
        let private = (is_meta == 0 && cells.len() >= 6).then_some(is_private != 0);
        let active = is_active != 0 && is_open != 0;
        torrents.add([infohash], Reported::new(name, complete != 0 && is_meta == 0, active, private));
    }
    let setting = |index: usize| settings.get(index).and_then(Option::as_ref);
    let text = |index: usize| setting(index).and_then(Value::text).unwrap_or_default();
    let port = setting(0).and_then(Value::number).and_then(|port| u16::try_from(port).ok());
    let place = Whereabouts {
        external: answer::address(text(2)).into_iter().collect(),
        bound: answer::address(text(1)).into_iter().collect(),
        interface: None,
        proxied: answer::address(text(3)).is_some(),
    };
    Ok(torrents.answer(port.filter(|port| *port != 0), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torrents_are_told_with_their_state_and_flag() {
        let row = |hash: &str, flags: [i64; 5]| {
            let hash = Value::Text(hash.repeat(40));
            let name = Value::Text("a name".to_owned());
            Value::Array([hash].into_iter().chain(flags.map(Value::Number)).chain([name]).collect())
        };
        // Active, open, complete, private, a magnet link.
        let rows = Value::Array(vec![
            row("A", [1, 1, 1, 0, 0]),
            row("B", [1, 1, 0, 1, 0]),
            row("C", [0, 1, 1, 0, 0]),
            row("D", [1, 1, 0, 0, 1]),
            Value::Array(vec![Value::Text("E".repeat(40))]),
        ]);
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let settings = [Some(Value::Number(6890)), text("10.0.0.5"), text("0.0.0.0"), None];
        let answer = told(&rows, &settings).unwrap();
        let flags: Vec<_> = answer.torrents.iter().map(|t| (t.active, t.complete, t.private)).collect();
        assert_eq!(
            flags,
            [
                (true, true, Some(false)),
                (true, false, Some(true)),
                (false, true, Some(false)),
                (true, false, None),
                (false, false, None),
            ]
        );
        assert_eq!((answer.port, answer.place.bound.len(), answer.place.external.len()), (Some(6890), 1, 0));
        assert!(told(&Value::Number(1), &[]).is_err());
    }
}
