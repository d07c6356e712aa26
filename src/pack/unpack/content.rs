//! A file's bytes on their way to the disk; long runs of zeros become holes.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// Zeros below this are written: file systems give no smaller holes.
const HOLE: usize = 4096;
/// Bytes that are read at once, a multiple of `HOLE` so that holes stay where a file system can have them.
pub(super) const READ_SIZE: usize = 32 * HOLE;

/// Which side failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The archive.
    Read(io::Error),
    /// The disk.
    Write(io::Error),
}

/// Writes everything of `data` into the empty `file`, through `buffer`; how many bytes that was.
pub(super) fn write(file: &File, data: &mut impl Read, buffer: &mut [u8]) -> Result<u64, Failed> {
    let mut written = 0;
    loop {
        let count = fill(data, buffer).map_err(Failed::Read)?;
        if count == 0 {
            break;
        }
        write_at(file, &buffer[..count], written).map_err(Failed::Write)?;
        written += count as u64;
    }
    // A hole at the end is no part of the file yet.
    file.set_len(written).map_err(Failed::Write)?;
    Ok(written)
}

/// Reads until the buffer is full or there is no more.
fn fill(data: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match data.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes what is not zeros, in few and long pieces.
fn write_at(file: &File, bytes: &[u8], mut offset: u64) -> io::Result<()> {
    for (zeros, piece) in pieces(bytes) {
        if !zeros {
            file.write_all_at(piece, offset)?;
        }
        offset += piece.len() as u64;
    }
    Ok(())
}

/// Neighbouring blocks that are all of zeros, or all not, taken together; and which of both they are.
fn pieces(mut rest: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        let zeros = is_zeros(rest.chunks(HOLE).next()?);
        let alike = rest.chunks(HOLE).take_while(|block| is_zeros(block) == zeros);
        let (piece, after) = rest.split_at(alike.map(<[u8]>::len).sum());
        rest = after;
        Some((zeros, piece))
    })
}

/// Whether a block is all zeros. One comparison of memory is many times as fast as one of each byte.
fn is_zeros(block: &[u8]) -> bool {
    static ZEROS: [u8; HOLE] = [0; HOLE];
    ZEROS.get(..block.len()) == Some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_and_differ_from_their_neighbours() {
        let mut bytes = vec![0; 5 * HOLE + 10];
        bytes[HOLE] = 1;
        bytes[3 * HOLE - 1] = 1;
        bytes[4 * HOLE + 7] = 1;
        let found: Vec<_> = pieces(&bytes).map(|(zeros, piece)| (zeros, piece.len())).collect();
        assert_eq!(
            found,
            [(true, HOLE), (false, 2 * HOLE), (true, HOLE), (false, HOLE), (true, 10)]
        );
        assert_eq!(pieces(&[]).count(), 0);
    }
}
