//! The page of a running node: one file each of markup, style and script, as they are.
//!
//! Nothing is built and nothing is fetched from elsewhere: [`POLICY`] forbids it. What the page shows comes from the control
//! interface, so that it has no figures of its own.

/// What a browser may do on the page (Content Security Policy): run and show its own files, and speak to this very node.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its path, from the root of the control interface.
    pub path: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// What is in it.
    pub text: &'static str,
}

/// All of them.
pub const FILES: [File; 3] = [
    File { path: "/", kind: "text/html; charset=utf-8", text: include_str!("index.html") },
    File { path: "/dashboard/style.css", kind: "text/css; charset=utf-8", text: include_str!("style.css") },
    File { path: "/dashboard/app.js", kind: "text/javascript; charset=utf-8", text: include_str!("app.js") },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_has_nothing_from_elsewhere() {
        assert!(FILES.iter().map(|file| file.text.len()).sum::<usize>() < 150 << 10);
        for file in &FILES {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for word in ["http://", "https://", "//cdn", "innerHTML", "eval(", "<script>", " style=", " onclick="] {
                assert!(!text.contains(word), "{} has {word:?}", file.path);
            }
        }
    }
}
