//! Datagrams as they look on the wire, with holes.
//!
//! Checks must show their bytes, wrong ones too, so nothing is encoded for them: a template stands for itself except
//! for `{name}`, the raw bytes of a field, and `{#name}`, the same as a bencoded string (`<length>:<bytes>`).

/// Fills the holes of `template`.
///
/// # Panics
/// When it names a field that is not there: a mistake in a check, never something that a remote can cause.
#[must_use]
pub fn fill(template: &[u8], fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(open) = rest.iter().position(|&byte| byte == b'{') {
        let close = open + rest[open..].iter().position(|&byte| byte == b'}').expect("a hole ends");
        out.extend_from_slice(&rest[..open]);
        let hole = std::str::from_utf8(&rest[open + 1..close]).expect("a hole has a name");
        let name = hole.trim_start_matches('#');
        let (_, value) = fields.iter().find(|(field, _)| *field == name).unwrap_or_else(|| panic!("no field {name}"));
        if hole.starts_with('#') {
            out.extend_from_slice(format!("{}:", value.len()).as_bytes());
        }
        out.extend_from_slice(value);
        rest = &rest[close + 1..];
    }
    out.extend_from_slice(rest);
    out
}

/// Bytes as a person reads them: text where it is text, `\xNN` elsewhere.
#[must_use]
pub fn readable(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_filled_raw_or_as_strings() {
        let fields: [(&str, &[u8]); 2] = [("t", b"ab"), ("token", b"\x00xyz")];
        assert_eq!(fill(b"d1:t2:{t}5:token{#token}e", &fields), b"d1:t2:ab5:token4:\x00xyze");
        assert_eq!(fill(b"\xff no hole", &[]), b"\xff no hole");
        assert_eq!(readable(b"1:t\x00\xff"), r"1:t\x00\xff");
    }
}
