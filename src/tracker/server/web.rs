//! HTTP as a client: one request, over TLS or not, to an address of one family. Bodies are bounded after they are unpacked.
//!
//! Redirects are not followed here: whoever asks decides where one may lead. A proxy of the environment is not used, since a
//! tracker must see the address that client and gateway share.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Url};

use super::names::{Names, Reach, out_of_reach};
use crate::engine::contact::Family;
use crate::net::fetch::{self, FetchError};
use crate::tracker::upstream::Upstream;

/// Time for a connection, its TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// What came of one request.
pub(super) enum Got {
    /// A body, of a server at this address.
    Body(SocketAddr, Vec<u8>),
    /// Another URL, from a server at this address.
    Moved(SocketAddr, String),
}

/// Clients for each reach, made when they are needed.
#[derive(Debug)]
pub(super) struct Web {
    names: Arc<Names>,
    clients: Mutex<BTreeMap<Reach, Client>>,
}

impl Web {
    pub(super) const fn new(names: Arc<Names>) -> Self {
        Self { names, clients: Mutex::new(BTreeMap::new()) }
    }

    /// Gets `target` (path and query) of `url`, at most `most` bytes of it, from an address within `reach`.
    pub(super) async fn get(&self, url: &Upstream, target: &str, reach: Reach, most: usize) -> io::Result<Got> {
        // An address is connected to as it stands, and no name is looked up: `127.1` is one too.
        let whole = Url::parse(&url.at(target)).map_err(io::Error::other)?;
        let host = whole.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.parse().is_ok_and(|ip: IpAddr| !reach.includes(ip)) {
            return Err(out_of_reach());
        }
        let mut request = self.client(reach)?.get(whole);
        if let Some(authorization) = url.authorization() {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request.send().await.map_err(failed)?;
        let from = response.remote_addr().ok_or_else(|| io::Error::other("it has no address"))?;
        if response.status().is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            return Ok(Got::Moved(from, location.unwrap_or_default().to_owned()));
        }
        if !response.status().is_success() {
            return Err(io::Error::other(format!("HTTP status {}", response.status())));
        }
        let body = fetch::body(response, most).await.map_err(|error| match error {
            FetchError::Failed(error) => failed(error),
            FetchError::TooLong => io::Error::other(format!("its answer has more than {most} bytes")),
        })?;
        Ok(Got::Body(from, body))
    }

    fn client(&self, reach: Reach) -> io::Result<Client> {
        let mut clients = self.clients.lock().expect("nothing panics while it holds the lock");
        if let Some(client) = clients.get(&reach) {
            return Ok(client.clone());
        }
        let client = build(reach, &self.names)?;
        clients.insert(reach, client.clone());
        Ok(client)
    }
}

fn build(reach: Reach, names: &Arc<Names>) -> io::Result<Client> {
    fetch::install_cryptography();
    let describe = || -> ClientBuilder {
        let any = reach.family.map(|family| match family {
            Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        });
        Client::builder()
            .user_agent(concat!("trackerless/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .gzip(true)
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(0)
            .local_address(any)
            .dns_resolver(Resolver { names: Arc::clone(names), reach })
    };
    describe().build().or_else(|error| {
        tracing::warn!(%error, "this host has no certificates of authorities (package ca-certificates): no https:// here");
        describe().tls_certs_only([]).build().map_err(io::Error::other)
    })
}

/// Looks names up as the rest of the gateway does, and gives addresses within reach only: a name may change between being
/// looked at and being used.
struct Resolver {
    names: Arc<Names>,
    reach: Reach,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, reach) = (Arc::clone(&self.names), self.reach);
        Box::pin(async move {
            let ips = names.all(name.as_str()).await?;
            let addrs: Vec<SocketAddr> =
                ips.into_iter().filter(|ip| reach.includes(*ip)).map(|ip| SocketAddr::new(ip, 0)).collect();
            if addrs.is_empty() {
                return Err(out_of_reach().into());
            }
            Ok(Box::new(addrs.into_iter()) as Addrs)
        })
    }
}

/// What went wrong, down to its first cause, and without the URL: it may hold a key.
fn failed(error: reqwest::Error) -> io::Error {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    io::Error::other(cause.to_string())
}
