//! No macro of ours puts `unsafe` around an expression of its caller: `forbid(unsafe_code)` does not see that.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{
    source::{each_run, group, is_identifier, is_mark, line, rust_files},
    tree::{Tree, Violation, assert_broken},
};

/// Fragments that may carry code of the caller.
const CODE: [&str; 5] = ["expr", "expr_2021", "block", "stmt", "tt"];

pub(crate) fn put_no_unsafe_around_expressions(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, tokens) in rust_files(tree) {
        each_run(&tokens, &mut |run| {
            for index in 0..run.len() {
                if is_identifier(run.get(index), "macro_rules") && is_mark(run.get(index + 1), '!') {
                    let arms = run.get(index + 3..).and_then(|rest| rest.first());
                    found.extend(of_arms(path, arms));
                }
            }
        });
    }
    found
}

fn of_arms(path: &str, arms: Option<&TokenTree>) -> Vec<Violation> {
    let Some(TokenTree::Group(arms)) = arms else { return Vec::new() };
    let groups = arms.stream().into_iter().filter_map(|tree| match tree {
        TokenTree::Group(group) => Some(group.stream()),
        _ => None,
    });
    let halves: Vec<TokenStream> = groups.collect();
    halves.chunks(2).filter(|arm| arm.len() == 2).flat_map(|arm| of_arm(path, &arm[0], &arm[1])).collect()
}

fn of_arm(path: &str, matcher: &TokenStream, body: &TokenStream) -> Vec<Violation> {
    let names = code_variables(matcher);
    let mut found = Vec::new();
    each_run(body, &mut |run| {
        for (index, tree) in run.iter().enumerate() {
            let block = group(run.get(index + 1), Delimiter::Brace);
            if is_identifier(Some(tree), "unsafe") && block.is_some_and(|block| mentions(&block, &names)) {
                found.push(Violation::new(path, line(tree), "a macro puts unsafe around its caller's code"));
            }
        }
    });
    found
}

/// The variables of a matcher that stand for code: `$name:expr` and its like, also in repetitions.
fn code_variables(matcher: &TokenStream) -> Vec<String> {
    let mut names = Vec::new();
    each_run(matcher, &mut |run| {
        for four in run.windows(4) {
            let is_code = CODE.iter().any(|kind| is_identifier(Some(&four[3]), kind));
            if is_mark(Some(&four[0]), '$') && is_mark(Some(&four[2]), ':') && is_code {
                names.push(four[1].to_string());
            }
        }
    });
    names
}

fn mentions(block: &TokenStream, names: &[String]) -> bool {
    let mut found = false;
    each_run(block, &mut |run| {
        found |= run.windows(2).any(|two| is_mark(Some(&two[0]), '$') && names.contains(&two[1].to_string()));
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_breaks(text: &str, expected: &[&str]) {
        assert_broken(put_no_unsafe_around_expressions, &[("a.rs", text)], expected);
    }

    #[test]
    fn unsafe_around_the_callers_expression_is_found_at_any_depth() {
        assert_breaks("macro_rules! a { ($x:expr) => {\n unsafe { f($x) } }; }", &["a.rs:2"]);
        assert_breaks(
            "mod m { macro_rules! a ( ($($x:tt)*) => { if c { unsafe { ($($x)*) } } } ); }",
            &["a.rs:1"],
        );
        assert_breaks("macro_rules! a { () => {}; ($b:block) => ( unsafe { if c $b } ) }", &["a.rs:1"]);
    }

    #[test]
    fn unsafe_of_the_macros_own_and_code_outside_it_are_no_violation() {
        assert_breaks("macro_rules! a { ($x:expr) => { let x = $x; unsafe { f(x) } } }", &[]);
        assert_breaks("macro_rules! a { ($t:ty) => { unsafe { f::<$t>() } } }", &[]);
        assert_breaks("macro_rules! a { ($t:ident, $x:expr) => { unsafe impl T for $t {} f($x) } }", &[]);
    }
}
