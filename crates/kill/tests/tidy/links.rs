//! A relative link in a page leads to a file or a folder of the tree, and its fragment to a heading there.

use pulldown_cmark::{Event, LinkType, Parser, Tag, TagEnd};

use crate::tree::{Tree, Violation, assert_broken, resolve as resolve_path};

pub(crate) fn resolve(tree: &Tree) -> Vec<Violation> {
    let pages = tree.with_ending(".md");
    pages.flat_map(|(path, text)| of_page(tree, path, text)).collect()
}

fn of_page(tree: &Tree, path: &str, text: &str) -> Vec<Violation> {
    let broken = links(text).into_iter().filter(|(_, link)| !leads_somewhere(tree, path, link));
    broken.map(|(line, link)| Violation::new(path, line, format!("{link} leads nowhere"))).collect()
}

/// The relative links of a page, each with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let events = Parser::new(text).into_offset_iter();
    let links = events.filter_map(|(event, range)| {
        let (Event::Start(Tag::Link { link_type, dest_url, .. })
        | Event::Start(Tag::Image { link_type, dest_url, .. })) = event
        else {
            return None;
        };
        let relative = !matches!(link_type, LinkType::Autolink | LinkType::Email) && !has_scheme(&dest_url);
        relative.then(|| (text[..range.start].matches('\n').count() + 1, dest_url.to_string()))
    });
    links.collect()
}

fn has_scheme(link: &str) -> bool {
    link.split_once(':').is_some_and(|(scheme, _)| scheme.chars().all(|letter| letter.is_ascii_alphabetic()))
}

fn leads_somewhere(tree: &Tree, from: &str, link: &str) -> bool {
    let (file, fragment) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let target = if file.is_empty() { Some(from.to_owned()) } else { resolve_path(from, file) };
    let Some(target) = target.filter(|target| tree.has(target)) else { return false };
    match (fragment, tree.text(&target)) {
        (Some(heading), Some(text)) if target.ends_with(".md") => {
            anchors(text).iter().any(|name| name == heading)
        }
        _ => true,
    }
}

/// The anchors that a page's headings get: lower case, without marks, hyphens for spaces.
fn anchors(text: &str) -> Vec<String> {
    let mut anchors = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|words| anchor(&words))),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            _ => {}
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let page = "# Title\n\n[a](docs/there.md) [b](docs) [c](https://example.org/x)\n\n[d](docs/gone.md)\n\
                    ![e](gone.png)\n\n[f]\n\n`[g](gone.md)`\n\n[f]: ../outside.md\n";
        let files = [("README.md", page), ("docs/there.md", "[up](../README.md) [self](there.md)")];
        assert_broken(
            resolve,
            &files,
            &["README.md:5: docs/gone.md", "README.md:6: gone.png", "README.md:8: ../outside.md"],
        );
    }

    #[test]
    fn a_fragment_without_its_heading_is_found() {
        let page = "[a](b.md#two-words-of-it) [b](b.md#three) [c](#here) [d](#gone)\n\n## Here\n";
        let files = [("a.md", page), ("b.md", "## Two words: of `it`\n")];
        assert_broken(resolve, &files, &["b.md#three", "#gone"]);
    }
}
