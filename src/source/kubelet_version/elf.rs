//! Where in an executable is a section? Reads the header, the table of sections, their names and the one section, and nothing
//! else of a file of a hundred megabytes. See elf(5).

/// So many bytes of a file from an offset on; `None` where it has not that many there.
pub(super) type ReadAt<'a> = dyn Fn(u64, usize) -> Option<Vec<u8>> + 'a;

const HEADER: usize = 64;
const ENTRY: usize = 64;
/// Go writes 16 to 40.
const MAX_SECTIONS: usize = 256;
const MAX_NAMES: usize = 64 << 10;

/// The content of the section called `name` in a 64-bit ELF file of either byte order. `None`: there is none, it has more than
/// `limit` bytes, or this is no such file.
pub(super) fn section(read: &ReadAt<'_>, name: &[u8], limit: usize) -> Option<Vec<u8>> {
    let header = read(0, HEADER)?;
    let order = match header.get(..6)? {
        [0x7f, b'E', b'L', b'F', 2, 1] => Order::Little,
        [0x7f, b'E', b'L', b'F', 2, 2] => Order::Big,
        _ => return None,
    };
    let table = order.u64(&header, 40)?;
    let (entry, count, names) = (order.u16(&header, 58)?, order.u16(&header, 60)?, order.u16(&header, 62)?);
    if usize::from(entry) != ENTRY || usize::from(count) > MAX_SECTIONS {
        return None;
    }
    let table = read(table, usize::from(count) * ENTRY)?;
    let (entries, _) = table.as_chunks::<ENTRY>();
    let content = |entry: &[u8; ENTRY], limit: usize| {
        let (offset, size) = (order.u64(entry, 24)?, usize::try_from(order.u64(entry, 32)?).ok()?);
        if size > limit { None } else { read(offset, size) }
    };
    let names = content(entries.get(usize::from(names))?, MAX_NAMES)?;
    let is_called = |entry: &&[u8; ENTRY]| {
        let start = order.u32(*entry, 0).and_then(|start| usize::try_from(start).ok());
        let found = start.and_then(|start| names.get(start..)).and_then(|rest| rest.split(|b| *b == 0).next());
        found == Some(name)
    };
    content(entries.iter().find(is_called)?, limit)
}

/// The order of bytes in a file.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if matches!(self, Self::Big) { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if matches!(self, Self::Big) { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if matches!(self, Self::Big) { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file of two sections beside the empty one: their names, and `content` under `name`.
    pub(in super::super) fn file(name: &str, content: &[u8], big: bool) -> Vec<u8> {
        let number = |value: usize, width: usize| {
            let value = u64::try_from(value).unwrap();
            if big { value.to_be_bytes()[8 - width..].to_vec() } else { value.to_le_bytes()[..width].to_vec() }
        };
        let names = format!("\0.shstrtab\0{name}\0");
        let (names_at, content_at) = (HEADER, HEADER + names.len());
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, if big { 2 } else { 1 }, 1];
        file.resize(40, 0);
        file.extend(number(content_at + content.len(), 8));
        file.resize(58, 0);
        for value in [ENTRY, 3, 1] {
            file.extend(number(value, 2));
        }
        file.extend(names.bytes());
        file.extend(content);
        for (name_at, offset, size) in [(0, 0, 0), (1, names_at, names.len()), (11, content_at, content.len())] {
            let mut entry = number(name_at, 4);
            entry.resize(24, 0);
            entry.extend(number(offset, 8));
            entry.extend(number(size, 8));
            entry.resize(ENTRY, 0);
            file.extend(entry);
        }
        file
    }

    pub(in super::super) fn reader(file: &[u8]) -> impl Fn(u64, usize) -> Option<Vec<u8>> {
        |offset, length| {
            assert!(length <= 1 << 20, "{length} bytes are asked for at once");
            let start = usize::try_from(offset).ok()?;
            file.get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
        }
    }

    fn found(file: &[u8]) -> Option<Vec<u8>> {
        section(&reader(file), b".wanted", 100)
    }

    #[test]
    fn a_section_is_found_in_either_byte_order() {
        for big in [false, true] {
            assert_eq!(found(&file(".wanted", b"content", big)).as_deref(), Some(b"content".as_slice()));
            assert_eq!(found(&file(".wanted2", b"content", big)), None);
        }
        assert_eq!(found(&file(".wanted", &[7; 101], false)), None, "over the limit");
    }

    #[test]
    fn files_that_lie_are_not_believed() {
        let good = file(".wanted", b"content", false);
        let changed = |at: usize, bytes: &[u8]| {
            let mut file = good.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            found(&file)
        };
        assert_eq!(changed(7, &[9]).as_deref(), Some(b"content".as_slice()), "what does not matter");
        let table = good.len() - 3 * ENTRY;
        let cases: [(&str, usize, &[u8]); 10] = [
            ("no ELF", 0, b"#!/b"),
            ("32 bits", 4, &[1]),
            ("the other byte order", 5, &[2]),
            ("a table beyond the end", 40, &[0xff; 8]),
            ("entries of another size", 58, &[40, 0]),
            ("more sections than fit", 60, &[0xff, 0]),
            ("65,535 sections", 60, &[0xff; 2]),
            ("names in no section", 62, &[9, 0]),
            ("a section beyond the end", table + 2 * ENTRY + 24, &[0xff; 8]),
            ("an endless section", table + 2 * ENTRY + 32, &[0xff; 8]),
        ];
        for (what, at, bytes) in cases {
            assert_eq!(changed(at, bytes), None, "{what}");
        }
        assert_eq!(changed(table + ENTRY + 32, &[0xff; 8]), None, "endless names");
        assert_eq!(changed(table + 2 * ENTRY, &[0xff; 4]), None, "a name beyond the names");
        for length in 0..good.len() {
            assert_eq!(found(&good[..length]), None, "cut at {length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(mut file in proptest::collection::vec(any::<u8>(), 0..400), is_elf: bool) {
            if is_elf && file.len() > 6 {
                file[..6].copy_from_slice(b"\x7fELF\x02\x01");
            }
            found(&file);
        }
    }
}
