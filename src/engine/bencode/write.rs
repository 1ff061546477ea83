//! The canonical writer: appends to a buffer that is used again.
//!
//! It writes numbers and strings; the caller writes keys, as literals, in sorted order. That keeps messages readable
//! in the code exactly as they look on the wire, and tests compare each of them with `bendy` byte for byte.

/// Appends `<length>:<bytes>`.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends `<length>:`; the caller appends the bytes.
pub fn length(out: &mut Vec<u8>, length: usize) {
    digits(out, length as u64);
    out.push(b':');
}

/// Appends `i<value>e`.
pub fn integer(out: &mut Vec<u8>, value: i64) {
    out.push(b'i');
    if value < 0 {
        out.push(b'-');
    }
    digits(out, value.unsigned_abs());
    out.push(b'e');
}

fn digits(out: &mut Vec<u8>, mut value: u64) {
    let mut text = [0; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bendy::encoding::{AsString, ToBencode};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_bendy(value in any::<i64>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Vec::new();
            integer(&mut out, value);
            prop_assert_eq!(&out, &value.to_bencode().unwrap());
            out.clear();
            string(&mut out, &bytes);
            prop_assert_eq!(&out, &AsString(&bytes).to_bencode().unwrap());
        }
    }

    #[test]
    fn edges() {
        for value in [0, -1, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            integer(&mut out, value);
            assert_eq!(out, format!("i{value}e").into_bytes());
        }
    }
}
