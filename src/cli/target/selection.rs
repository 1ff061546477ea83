//! The torrents that a command is about: those of its TARGETs that can be used, each once.

use std::collections::HashSet;
use std::io::Read;

use super::list::read_list;
use super::{Target, TargetError};
use crate::cli::args::Swarms;
use crate::cli::failure::{Exit, Failure, eprintln_quietly};
use crate::cli::output::counted;

/// What is left of the TARGETs.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Torrents, each once, in the order in which they were named; at least one.
    pub targets: Vec<Target>,
    /// Number of TARGETs that cannot be used.
    left_out: usize,
}

impl Selection {
    /// Reads all TARGETs and keys, says which ones are left out and why, and goes on with the others. A single one that
    /// cannot be used is an error, and with `--strict` the first of any number.
    pub(in crate::cli) fn read(swarms: &Swarms, input: impl Read) -> Result<Self, Failure> {
        let (mut targets, mut left_out) = read_all(swarms, input);
        targets.extend(swarms.keys.iter().map(|text| Target::of_key(text)));
        if left_out.len() == 1 && targets.is_empty() || swarms.strict && !left_out.is_empty() {
            return Err(left_out.swap_remove(0).into());
        }
        for error in &left_out {
            eprintln_quietly(format_args!("left out: {error}"));
        }
        let mut seen = HashSet::new();
        targets.retain(|target| seen.insert(target.torrent.infohashes.clone()));
        match (targets.is_empty(), left_out.first()) {
            (false, _) => Ok(Self { targets, left_out: left_out.len() }),
            (true, None) => Err(Failure::usage("standard input names no torrent", "give one TARGET a line")),
            (true, Some(first)) => Err(Failure::usage(
                format_args!("none of {} can be used", counted(left_out.len(), "TARGET")),
                first.cure(),
            )),
        }
    }

    /// Whether more than one TARGET was named, be it that others were left out: then each result says which one it is of.
    pub(in crate::cli) const fn names_several(&self) -> bool {
        self.targets.len() + self.left_out > 1
    }

    /// How a command ends that has done its work for the torrents that were left.
    pub(in crate::cli) fn exit(&self, done: Exit) -> Exit {
        if self.left_out == 0 {
            return done;
        }
        let cure = "they are named above; with --strict nothing is begun before all can be used";
        eprintln_quietly(format_args!("{} left out: {cure}", counted(self.left_out, "TARGET")));
        if done == Exit::Done { Exit::Nothing } else { done }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::usage(&error, error.cure())
    }
}

/// What the TARGETs of the command line name, with `-` replaced by the list on standard input.
fn read_all(swarms: &Swarms, mut input: impl Read) -> (Vec<Target>, Vec<TargetError>) {
    let (mut targets, mut left_out) = (Vec::new(), Vec::new());
    for given in &swarms.targets {
        let read = if given == "-" { read_list(&mut input) } else { vec![Target::parse(given)] };
        for target in read {
            match target {
                Ok(target) => targets.push(target),
                Err(error) => left_out.push(error),
            }
        }
    }
    (targets, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read(given: &[&str], strict: bool, input: &str) -> Result<(Vec<String>, Exit), Failure> {
        let swarms = Swarms { targets: given.iter().map(Into::into).collect(), keys: Vec::new(), strict };
        let selection = Selection::read(&swarms, input.as_bytes())?;
        let infohashes = selection.targets.iter().map(|target| target.torrent.infohashes[0].to_string()).collect();
        Ok((infohashes, selection.exit(Exit::Done)))
    }

    #[test]
    fn each_torrent_is_kept_once_in_the_order_of_its_names() {
        let list = format!("{A}\n{B}\n{A}\n");
        assert_eq!(read(&["-"], true, &list).unwrap(), (vec![A.to_owned(), B.to_owned()], Exit::Done));
        assert_eq!(read(&[B, "-"], true, &list).unwrap().0, [B, A]);
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_the_exit_code_says_so() {
        assert_eq!(read(&[A, "x"], false, "").unwrap(), (vec![A.to_owned()], Exit::Nothing));
        assert_eq!(read(&["-"], false, &format!("x\n{A}\ny\n")).unwrap(), (vec![A.to_owned()], Exit::Nothing));
        for (given, strict, input) in [
            (&["x"][..], false, ""),
            (&["x", "y"], false, ""),
            (&["-"], false, "x\ny"),
            (&["-"], false, "#\n"),
            (&[A, "x"], true, ""),
        ] {
            let failed = read(given, strict, input);
            assert!(matches!(failed, Err(Failure::Told { exit: Exit::Usage, .. })), "{given:?}: {failed:?}");
        }
    }
}
