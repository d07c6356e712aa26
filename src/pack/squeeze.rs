//! Compression on a thread beside the one that reads, lists and digests the work: both are busy at the same time.

use std::io::{self, BufRead, Write};

use super::belt::{Loader, Unloader, belt};
use super::packer::PackError;
use super::sum::{Sum, Summed};

/// How hard zstd tries.
#[derive(Debug, Clone, Copy)]
pub struct Compression {
    /// 1 to 19.
    pub level: i32,
    /// Threads of zstd's own; 0 compresses in the thread that hands out the result.
    pub threads: u32,
}

/// Compresses what `make` writes into `out`. `make` runs on a thread of its own; it is waited for, and finds that nothing
/// is taken any more when `out` fails.
///
/// # Errors
/// [`PackError::Out`] when `out` or zstd fails; else what ended `make`. What was written is worthless then.
pub fn squeeze<T, F>(out: impl Write, compression: Compression, make: F) -> Result<(T, Sum), PackError>
where
    T: Send,
    F: FnOnce(&mut Loader) -> Result<T, PackError> + Send,
{
    let mut encoder = zstd::Encoder::new(Summed::new(out), compression.level).map_err(PackError::Out)?;
    encoder.include_checksum(true).map_err(PackError::Out)?;
    if compression.threads > 0 {
        encoder.multithread(compression.threads).map_err(PackError::Out)?;
    }
    let (mut loader, unloader) = belt();
    std::thread::scope(|scope| {
        let maker = std::thread::Builder::new().name("pack".into());
        let making = maker.spawn_scoped(scope, move || {
            let made = make(&mut loader)?;
            loader.finish().map(|()| made).map_err(PackError::Out)
        });
        let making = making.map_err(PackError::Out)?;
        let written = take(unloader, &mut encoder);
        let made = match making.join() {
            Ok(made) => made,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // The maker only sees that nobody takes what it makes; why that is so is known here.
        if let Some(written) = written {
            written.map_err(PackError::Out)?;
        }
        let made = made?;
        let mut summed = encoder.finish().map_err(PackError::Out)?;
        summed.flush().map_err(PackError::Out)?;
        Ok((made, summed.finish()))
    })
}

/// Takes everything from the belt; none when the other side ended before its end.
fn take(mut from: Unloader, into: &mut impl Write) -> Option<io::Result<()>> {
    loop {
        let ready = from.fill_buf().ok()?;
        if ready.is_empty() {
            return Some(Ok(()));
        }
        let count = ready.len();
        if let Err(error) = into.write_all(ready) {
            return Some(Err(error));
        }
        from.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    const COMPRESSION: Compression = Compression { level: 3, threads: 0 };

    /// A store that takes so many bytes and no more.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_made_comes_out_compressed_and_summed() {
        let mut out = Vec::new();
        let made = squeeze(&mut out, COMPRESSION, |into| {
            into.write_all(&vec![7; 1 << 20]).map_err(PackError::Out)?;
            Ok("made")
        });
        let (made, sum) = made.unwrap();
        assert_eq!((made, sum.bytes), ("made", out.len() as u64));
        assert_eq!(zstd::decode_all(out.as_slice()).unwrap(), vec![7; 1 << 20]);
    }

    #[test]
    fn a_store_that_fails_ends_the_making_and_is_named() {
        let ended = AtomicBool::new(false);
        // Nothing that zstd could make small.
        let noise = (0_u64..1 << 17).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        let noise: Vec<u8> = noise.collect();
        let failed = squeeze(Full(1000), COMPRESSION, |into| {
            loop {
                if let Err(error) = into.write_all(&noise) {
                    ended.store(true, Ordering::Relaxed);
                    return Err::<(), _>(PackError::Out(error));
                }
            }
        });
        let Err(PackError::Out(error)) = failed else {
            panic!("{failed:?}")
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(ended.load(Ordering::Relaxed));
    }

    #[test]
    fn work_that_cannot_be_read_is_the_reason() {
        let failed = squeeze(io::sink(), COMPRESSION, |into| {
            into.write_all(b"half").map_err(PackError::Out)?;
            Err::<(), _>(PackError::TooBig(1))
        });
        assert!(matches!(failed, Err(PackError::TooBig(1))), "{failed:?}");
    }
}
