//! The bytes of files: holes, and files that change between two reads.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::super::{Content, Found, Next, walk};
use super::ground::open;

/// Visits the only file below `root`.
fn with_file(root: &Path, mut visit: impl FnMut(&mut Content)) {
    walk::<io::Error, _>(open(root), b"w", &mut |found| {
        if let Found::Entry(_, Some(content)) = found {
            visit(content);
        }
        Ok(Next::On)
    })
    .unwrap();
}

/// Reads a file of that many `a`, with `meddle` between its first byte and the rest; and whether it was torn.
fn read_with(size: usize, meddle: impl Fn(&Path)) -> (Vec<u8>, bool) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, vec![b'a'; size]).unwrap();
    let (mut bytes, mut torn) = (Vec::new(), false);
    with_file(dir.path(), |content| {
        let mut first = [0];
        content.read_exact(&mut first).unwrap();
        meddle(&path);
        bytes.push(first[0]);
        content.read_to_end(&mut bytes).unwrap();
        torn = content.is_torn();
    });
    (bytes, torn)
}

fn writable(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

#[test]
fn a_file_that_nobody_touches_is_not_torn() {
    assert_eq!(read_with(5000, |_| {}), (vec![b'a'; 5000], false));
    let read = |path: &Path| assert_eq!(fs::read(path).unwrap().len(), 5000);
    assert_eq!(read_with(5000, read), (vec![b'a'; 5000], false));
}

#[test]
fn a_file_that_grows_is_cut() {
    let append = |path: &Path| {
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(b"more").unwrap();
    };
    assert_eq!(read_with(5000, append), (vec![b'a'; 5000], true));
}

#[test]
fn a_file_that_shrinks_is_filled_with_zeros() {
    let cut = |path: &Path| writable(path).set_len(10).unwrap();
    let (bytes, torn) = read_with(5000, cut);
    assert_eq!(bytes, [vec![b'a'; 10], vec![0; 4990]].concat());
    assert!(torn);
    let (bytes, torn) = read_with(3 << 20, |path| writable(path).set_len(0).unwrap());
    assert_eq!(
        (bytes.len(), bytes.iter().filter(|byte| **byte != 0).count()),
        (3 << 20, 1)
    );
    assert!(torn);
}

#[test]
fn a_file_that_is_written_anew_is_torn_also_with_its_time_put_back() {
    let rewrite = |path: &Path| {
        let told = fs::metadata(path).unwrap().modified().unwrap();
        let file = writable(path);
        file.write_all_at(&[b'b'; 5000], 0).unwrap();
        file.set_modified(told).unwrap();
    };
    let (bytes, torn) = read_with(5000, rewrite);
    assert_eq!(bytes, [vec![b'a'; 1], vec![b'b'; 4999]].concat());
    assert!(torn);
}

#[test]
fn a_file_that_is_removed_is_read_to_its_end() {
    let (bytes, _) = read_with(5000, |path| fs::remove_file(path).unwrap());
    assert_eq!(bytes, vec![b'a'; 5000]);
}

/// Bytes that this thread has asked the kernel to read.
fn bytes_asked_for() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn holes_are_zeros_that_nobody_reads() {
    const SIZE: u64 = 256 << 20;
    const PIECE: usize = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse");
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .unwrap();
    file.set_len(SIZE).unwrap();
    let (begin, middle, end) = (0, (100 << 20) + 17, SIZE - 3);
    for at in [begin, middle, end] {
        file.write_all_at(b"abc", at).unwrap();
    }
    assert!(file.metadata().unwrap().blocks() * 512 < SIZE);
    with_file(dir.path(), |content| {
        let before = bytes_asked_for();
        let (mut expected, mut piece) = (vec![0; PIECE], vec![1; PIECE]);
        for index in 0..SIZE / PIECE as u64 {
            content.read_exact(&mut piece).unwrap();
            file.read_exact_at(&mut expected, index * PIECE as u64).unwrap();
            assert!(piece == expected, "piece {index}");
        }
        assert_eq!(content.read(&mut piece).unwrap(), 0);
        assert!(!content.is_torn());
        // The comparison has asked for everything once.
        let asked = bytes_asked_for() - before - SIZE;
        assert!(asked < PIECE as u64, "{asked} bytes");
    });
}

#[test]
fn a_hole_that_is_cut_off_or_filled_has_the_length_that_was_told() {
    for deed in [
        |file: &File| file.set_len(1).unwrap(),
        |file: &File| file.write_all_at(&[7; 9000], 4 << 20).unwrap(),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("sparse")).unwrap();
        file.set_len(8 << 20).unwrap();
        with_file(dir.path(), |content| {
            content.read_exact(&mut [0; 10]).unwrap();
            deed(&file);
            let mut rest = Vec::new();
            content.read_to_end(&mut rest).unwrap();
            assert_eq!(rest.len(), (8 << 20) - 10);
            assert!(content.is_torn());
        });
    }
}
