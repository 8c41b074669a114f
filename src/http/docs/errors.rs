//! The page that a problem's `type` leads to: `docs/errors.md`, a heading for each code.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// The path of the page; a code is a fragment of it.
pub(in crate::http) const PATH: &str = "/docs/errors";

/// The page. Links to the other documents are text here, for the binary has this one alone.
pub(super) fn page() -> String {
    let mut is_link_shown = true;
    let mut events: Vec<Event> = Parser::new_ext(include_str!("../../../docs/errors.md"), Options::ENABLE_TABLES)
        .filter(|event| match event {
            Event::Start(Tag::Link { dest_url, .. }) => {
                is_link_shown = dest_url.starts_with('#');
                is_link_shown
            }
            Event::End(TagEnd::Link) => is_link_shown,
            _ => true,
        })
        .collect();
    for at in 1..events.len() {
        let (before, after) = events.split_at_mut(at);
        if let (Some(Event::Start(Tag::Heading { id, .. })), Event::Text(text) | Event::Code(text)) =
            (before.last_mut(), &after[0])
        {
            // As `mdbook` names headings.
            *id = Some(CowStr::from(text.to_lowercase().replace(' ', "-")));
        }
    }
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    include_str!("errors.html").replace("{{body}}", &body)
}
