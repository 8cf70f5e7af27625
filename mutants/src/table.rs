//! The rows of `docs/interfaces/`.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Table {
    row: Vec<Row>,
}

/// What a source describes, and what of ours does it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    /// The source's name.
    pub(crate) name: String,
    /// `Type::function`, `Type::Variant`, or a type.
    pub(crate) item: Option<String>,
    pub(crate) file: Option<String>,
    test: Option<String>,
    /// How to break it, where it is no function.
    pub(crate) mutant: Option<Replacement>,
}

/// An expression of a file, and what is to stand there instead.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Replacement {
    pub(crate) file: String,
    /// Between « and », with what is around it, so that it is the only one.
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Row {
    /// `path::function`.
    pub(crate) fn test(&self) -> &str {
        self.test.as_deref().unwrap_or("")
    }
}

/// The rows that have an item, of the tables whose file name contains `table`; those whose name contains `only`.
pub(crate) fn read(root: &Path, table: Option<&str>, only: Option<&str>) -> Result<Vec<Row>> {
    let folder = root.join("docs/interfaces");
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let is_asked = |name: &str| table.is_none_or(|part| name.contains(part));
        if path.extension().is_some_and(|extension| extension == "toml")
            && path.file_stem().and_then(|name| name.to_str()).is_some_and(is_asked)
        {
            let text = std::fs::read_to_string(&path)?;
            let table: Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
            rows.extend(table.row);
        }
    }
    rows.retain(|row| row.item.is_some() && only.is_none_or(|part| row.name.contains(part)));
    Ok(rows)
}
