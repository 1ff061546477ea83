//! Lists of files, compressed one by one with a dictionary that all share. The first byte of a block names its form, so
//! that another dictionary can come later.

use zstd::bulk::{Compressor, Decompressor};

/// Largest list that a block may hold.
const MOST_BYTES: usize = 256 << 10;
/// Effort of the compressor: more takes longer and gains little on lists this short.
const LEVEL: i32 = 6;

/// The form of a block: its first byte.
const PLAIN: u8 = 0;
const WITH_DICTIONARY: u8 = 1;

/// What lists of files have in common. Changing it makes old blocks unreadable: a new one gets a new form.
const DICTIONARY: &[u8] = b"/VIDEO_TS/VTS_01_1.VOB/VIDEO_TS/VIDEO_TS.IFO/BDMV/STREAM/00000.m2ts/Sample/sample.mkv/Subs/English.srt\
/Subtitles/eng.srt.nfo.sfv.r00.r01.rar.zip.7z.exe.iso.bin.cue.log.m3u.flac.mp3.m4a.ogg.wav.ape.epub.pdf.mobi.azw3.djvu.cbr.cbz\
.html.txt.md.torrent.url.avi.wmv.mov.mpg.ts.mp4.mkv.png.gif.jpeg.jpg/cover.jpg/folder.jpg/Scans/Artwork/front.jpg/back.jpg\
/Season 01/S01E01.720p.WEB-DL.x264.AAC.S01E02.1080p.WEBRip.x265.HEVC.10bit.BluRay.DTS-HD.AC3.DDP5.1.mkv\
/CD1/01 - /CD2/02 - /Disc 1/01. /Disc 2/02. /03 - /04 - /05 - /06 - /07 - /08 - /09 - /10 - /11 - /12 - .mp3\
/Screens/screen0001.png/Readme.txt/README.md/setup.exe/data/images/index.html/docs/src/lib/bin/Extras/Featurettes/";

/// Compresses and opens blocks.
pub(super) struct Blocks {
    compressor: Option<Compressor<'static>>,
    opener: Option<Decompressor<'static>>,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").finish_non_exhaustive()
    }
}

impl Blocks {
    /// Where the system gives no memory for it, lists stay as they are.
    pub(super) fn new() -> Self {
        let compressor = Compressor::with_dictionary(LEVEL, DICTIONARY).ok().and_then(without_frame_head);
        Self { compressor, opener: Decompressor::with_dictionary(DICTIONARY).ok() }
    }

    /// A block of these bytes.
    pub(super) fn close(&mut self, bytes: &[u8]) -> Vec<u8> {
        let compressed = self.compressor.as_mut().and_then(|compressor| compressor.compress(bytes).ok());
        match compressed.filter(|compressed| compressed.len() < bytes.len()) {
            Some(compressed) => [&[WITH_DICTIONARY], &compressed[..]].concat(),
            None => [&[PLAIN], bytes].concat(),
        }
    }

    /// The bytes of a block; `None` where it is damaged.
    pub(super) fn open(&mut self, block: &[u8]) -> Option<Vec<u8>> {
        match block.split_first()? {
            (&PLAIN, bytes) => Some(bytes.to_vec()),
            (&WITH_DICTIONARY, bytes) => self.opener.as_mut()?.decompress(bytes, MOST_BYTES).ok(),
            _ => None,
        }
    }
}

/// Leaves out what a frame says of itself: a block knows it.
fn without_frame_head(mut compressor: Compressor<'static>) -> Option<Compressor<'static>> {
    compressor.include_checksum(false).ok()?;
    compressor.include_dictid(false).ok()?;
    compressor.include_contentsize(false).ok()?;
    Some(compressor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_open_to_what_was_closed() {
        let mut blocks = Blocks::new();
        for bytes in [&b""[..], b"x", &b"/Season 01/The.Show.S01E02.1080p.WEBRip.x265.mkv".repeat(20), &[0xa7; 100_000]]
        {
            let block = blocks.close(bytes);
            assert!(block.len() <= bytes.len() + 1);
            assert_eq!(blocks.open(&block).as_deref(), Some(bytes));
        }
        assert_eq!(blocks.open(b""), None);
        assert_eq!(blocks.open(&[9, 1, 2]), None);
        assert_eq!(blocks.open(&[WITH_DICTIONARY, 1, 2, 3]), None);
    }

    #[test]
    fn typical_names_are_much_smaller() {
        let list = b"\0\x30/Season 01/Some.Show.S01E01.720p.WEB-DL.x264.mkv\x80\x80\x10";
        let block = Blocks::new().close(list);
        assert!(block.len() * 10 < list.len() * 8, "{} of {}", block.len(), list.len());
    }
}
