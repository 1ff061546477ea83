//! Which infohashes a node has peers for (BEP 51).

use super::peers::MAX_DATAGRAM;
use crate::conform::Test::{NotServed, Run};
use crate::conform::probe::Probe;
use crate::conform::reply::{Reply, expect, skipped};
use crate::conform::{Check, Outcome, Source, Trouble, must, should};

const BEP: &str = "BEP 51";
const ASK: &[u8] = b"d1:ad2:id20:{id}6:target20:{hash}e1:q17:sample_infohashes1:t4:{t}1:y1:qe";
const NO_TARGET: &[u8] = b"d1:ad2:id20:{id}e1:q17:sample_infohashes1:t4:{t}1:y1:qe";

#[rustfmt::skip]
pub(super) const CHECKS: &[Check] = &[
    must("samples.whole", BEP, "samples consists of whole infohashes of 20 bytes", Run(whole)),
    must("samples.canonical", "BEP 3, bencoding", "the answer to sample_infohashes is canonical bencoding", Run(canonical)),
    should("samples.unique", BEP, "no infohash is sampled twice in one answer", Run(unique)),
    should("samples.interval", BEP, "interval says when to ask again, 0 to 21,600 seconds", Run(interval)),
    should("samples.num", BEP, "num is the number of infohashes, no fewer than are sampled", Run(num)),
    must("samples.nodes", BEP, "contacts come with the samples", Run(nodes)),
    must("samples.size", "BEP 32: at most 1,024 bytes", "samples are answered within 1,024 bytes", Run(size)),
    should("samples.counts", BEP, "once a peer was announced, some infohash is counted", Run(counts)),
    should("samples.stable", BEP, "before the interval is over, the samples stay the same", Run(stable)),
    must("samples.target.missing", BEP, "sample_infohashes without a target is not served", NotServed(NO_TARGET)),
    should("samples.target.missing.code", "BEP 5, Errors", "sample_infohashes without a target is refused with 203", Run(|p| { ask(p)?; p.refused(203, NO_TARGET, &[]) })),
    should("samples.unknown.code", "BEP 5, Errors", "a query that names nothing is refused also beside samples", Run(|p| { ask(p)?; p.refused(204, b"d1:ad2:id20:{id}e1:q17:sample_everything1:t4:{t}1:y1:qe", &[]) })),
    must("samples.target.short", BEP, "sample_infohashes with a target of 19 bytes is not served", NotServed(b"d1:ad2:id20:{id}6:target19:0123456789012345678e1:q17:sample_infohashes1:t4:{t}1:y1:qe")),
    must("samples.id", BEP, "the answer carries the id", Run(|p| ask(p)?.results()?.id().map(drop))),
    should("samples.want", "BEP 51; BEP 32, want", "want = n4, n6 is served", Run(|p| { ask(p)?; p.ask(b"d1:ad2:id20:{id}6:target20:{hash}4:wantl2:n42:n6ee1:q17:sample_infohashes1:t4:{t}1:y1:qe", &[])?.results()?.bytes("samples").map(drop) })),
];

/// An answer with samples: that they are there is how support is told (BEP 51).
fn ask(p: &mut Probe<'_>) -> Result<Reply, Trouble> {
    let reply = match p.ask(ASK, &[]) {
        Err(Trouble::Failed(why)) => {
            p.alive()?;
            return Err(skipped(format!("it does not speak BEP 51: {why}")));
        }
        answer => answer?,
    };
    match reply.results().map(|results| results.get("samples").is_some()) {
        Ok(true) => Ok(reply),
        Ok(false) => Err(skipped("it does not speak BEP 51: it answers without samples")),
        Err(Trouble::Failed(why)) => Err(skipped(format!("it does not speak BEP 51: {why}"))),
        Err(other) => Err(other),
    }
}

fn whole(p: &mut Probe<'_>) -> Outcome {
    let reply = ask(p)?;
    let length = reply.results()?.bytes("samples")?.len();
    expect(length % 20 == 0, format!("{length} bytes"))
}

fn canonical(p: &mut Probe<'_>) -> Outcome {
    ask(p)?;
    p.canonical(ASK)
}

fn unique(p: &mut Probe<'_>) -> Outcome {
    let reply = ask(p)?;
    let mut samples: Vec<&[u8]> = reply.results()?.bytes("samples")?.chunks(20).collect();
    let given = samples.len();
    samples.sort_unstable();
    samples.dedup();
    expect(samples.len() == given, "an infohash is there twice")
}

fn interval(p: &mut Probe<'_>) -> Outcome {
    let interval = ask(p)?.results()?.int("interval")?;
    expect((0..=21_600).contains(&interval), format!("interval is {interval}"))
}

fn num(p: &mut Probe<'_>) -> Outcome {
    let reply = ask(p)?;
    let sampled = reply.results()?.bytes("samples")?.len() as i64 / 20;
    let num = reply.results()?.int("num")?;
    expect(num >= sampled, format!("num is {num} and {sampled} are sampled"))
}

fn nodes(p: &mut Probe<'_>) -> Outcome {
    let key = p.own_nodes();
    ask(p)?.results()?.contacts(key).map(drop)
}

fn size(p: &mut Probe<'_>) -> Outcome {
    let length = ask(p)?.bytes.len();
    expect(length <= MAX_DATAGRAM, format!("{length} bytes"))
}

fn counts(p: &mut Probe<'_>) -> Outcome {
    ask(p)?;
    p.announce(Source::Main, 7005)?;
    let num = ask(p)?.results()?.int("num")?;
    if num > 0 { Ok(()) } else { Err(p.not_listed("num is 0")) }
}

fn stable(p: &mut Probe<'_>) -> Outcome {
    let (first, again) = (ask(p)?, ask(p)?);
    if first.results()?.int("interval")? == 0 {
        return Err(skipped("its interval is 0"));
    }
    expect(first.results()?.bytes("samples")? == again.results()?.bytes("samples")?, "they changed at once")
}
