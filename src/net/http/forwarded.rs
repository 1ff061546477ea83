//! Who the client of a request is that came through proxies.
//!
//! Pure. What a header says is believed only of a proxy that the user trusts.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{FORWARDED, HeaderMap};

/// Whether a proxy has written, or a client claims, whom the request comes from.
#[must_use]
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    ["x-forwarded-for", "x-real-ip", "via"].iter().any(|name| headers.contains_key(*name))
        || headers.contains_key(FORWARDED)
}

/// The client that the proxies name, by `X-Forwarded-For` or by `Forwarded` (RFC 7239). A proxy writes one of the two and
/// passes on what the client wrote in the other: where they disagree, neither is believed.
#[must_use]
pub fn client(headers: &HeaderMap, is_proxy: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let lists = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    let (plain, standard) = (lists("x-forwarded-for"), lists(FORWARDED.as_str()));
    let by_plain = || origin(plain.iter().flat_map(|list| list.split(',').map(parse_node)), &is_proxy);
    let elements = |list: &String| match unquoted_parts(list, ',') {
        Some(elements) => elements.into_iter().map(parse_element).collect(),
        None => vec![None],
    };
    let by_standard = || origin(standard.iter().flat_map(elements), &is_proxy);
    match (plain.is_empty(), standard.is_empty()) {
        (true, true) => None,
        (false, true) => by_plain(),
        (true, false) => by_standard(),
        (false, false) => by_plain().filter(|ip| by_standard() == Some(*ip)),
    }
}

/// The client of a list of hops, read from the right past further proxies of ours: what stands on the left is only what
/// the client claims. Where all are proxies, the first is the client. A hop that cannot be read hides it.
fn origin(hops: impl Iterator<Item = Option<IpAddr>>, is_proxy: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let hops: Vec<_> = hops.collect();
    let mut first = None;
    for hop in hops.into_iter().rev() {
        let ip = hop?;
        first = Some(ip);
        if !is_proxy(ip) {
            break;
        }
    }
    first
}

/// One hop: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`. `None` for `unknown`, for hidden
/// names, for nothing, and for all else.
fn parse_node(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().filter(IpAddr::is_ipv6);
    let endpoint = || text.parse().ok().map(|endpoint: SocketAddr| endpoint.ip());
    let ip: IpAddr = text.parse().ok().or_else(bracketed).or_else(endpoint)?;
    Some(ip.to_canonical())
}

/// One element of `Forwarded`: `for=192.0.2.60;proto=http`, in any case, the value quoted or not. `None` also where it names
/// two: a client may have written one of them.
fn parse_element(text: &str) -> Option<IpAddr> {
    let pairs = unquoted_parts(text, ';')?.into_iter().filter_map(|pair| pair.split_once('='));
    let mut nodes = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = nodes.next()?;
    if nodes.next().is_some() { None } else { parse_node(value) }
}

/// The parts of a list between separators that stand outside of quoted strings (RFC 9110, 5.6.4): what a client puts into a
/// quoted string, such as its `Host`, begins no element. `None` where a quoted string does not end.
fn unquoted_parts(list: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (index, c) in list.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == separator && !quoted => {
                parts.push(&list[begin..index]);
                begin = index + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    (!quoted).then_some(parts)
}
