//! Several files that a sweep watches as one object: what an operation changes in any of them is a point.

use std::io;

use crate::{FileSegment, Image, Segment};

/// Files as one segment, in their order.
#[derive(Debug)]
pub struct Segments(Vec<FileSegment>);

impl Segments {
    /// These files.
    pub fn new(files: Vec<FileSegment>) -> Self {
        Self(files)
    }
}

impl Segment for Segments {
    fn save(&self) -> io::Result<Image> {
        let parts: io::Result<Vec<Image>> = self.0.iter().map(Segment::save).collect();
        Ok(Image::of_parts(parts?))
    }

    fn restore(&self, image: &Image) -> io::Result<()> {
        let mut parts = self.0.iter().zip(image.parts());
        parts.try_for_each(|(file, part)| file.restore(part))
    }

    fn fingerprint(&self) -> io::Result<u64> {
        self.0.iter().try_fold(0_u64, |sum, file| {
            // Rotated, so that two files which exchange their bytes are told apart.
            Ok(sum.rotate_left(17).wrapping_add(file.fingerprint()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_file_is_told_apart_and_put_back() {
        let files = [tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap()];
        let put = |first: &str, second: &str| {
            fs::write(files[0].path(), first).unwrap();
            fs::write(files[1].path(), second).unwrap();
        };
        let get = || files.each_ref().map(|file| fs::read_to_string(file.path()).unwrap());
        put("one", "another");
        let open = |file: &tempfile::NamedTempFile| FileSegment::open(file.path()).unwrap();
        let segments = Segments::new(files.iter().map(open).collect());
        let (image, before) = (segments.save().unwrap(), segments.fingerprint().unwrap());
        for (first, second) in [("one", "Another"), ("One", "another"), ("another", "one")] {
            put(first, second);
            assert_ne!(segments.fingerprint().unwrap(), before);
            segments.restore(&image).unwrap();
            assert_eq!(
                (get(), segments.fingerprint().unwrap()),
                (["one", "another"].map(String::from), before)
            );
        }
    }
}
