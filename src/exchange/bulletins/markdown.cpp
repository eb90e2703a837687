#include "exchange/bulletins/markdown.hpp"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/text.hpp"

namespace bavn::exchange {

namespace {

constexpr int kOptions =
    CMARK_OPT_VALIDATE_UTF8;  // not CMARK_OPT_UNSAFE: what is overlooked here is still left out by the library

struct FreeParser {
  void operator()(cmark_parser* p) const { cmark_parser_free(p); }
};
struct FreeNode {
  void operator()(cmark_node* n) const { cmark_node_free(n); }
};

/// Its children take its place.
void unwrap(cmark_node* node) {
  while (cmark_node* child = cmark_node_first_child(node)) {
    cmark_node_unlink(child);
    if (cmark_node_insert_before(node, child) == 0) {  // not allowed there: gone rather than wrong
      cmark_node_free(child);
    }
  }
  cmark_node_unlink(node);
  cmark_node_free(node);
}

/// Raw HTML as the words that it is.
void as_text(cmark_node* node, bool block) {
  const char* literal = cmark_node_get_literal(node);
  cmark_node* text = cmark_node_new(block ? CMARK_NODE_CODE_BLOCK : CMARK_NODE_CODE);
  cmark_node_set_literal(text, literal != nullptr ? literal : "");
  if (cmark_node_replace(node, text) == 0) cmark_node_free(text);
  else cmark_node_free(node);
}

bool harmless(std::string_view url) {
  const std::string lower = to_lower(url.substr(0, 8));
  return lower.starts_with("https://") || lower.starts_with("mailto:");
}

}  // namespace

std::string html_of_markdown(std::string_view markdown, const std::function<bool(std::string_view url)>& no_link) {
  static const bool registered =
      (cmark_gfm_core_extensions_ensure_registered(), true);  // the library's own table, once
  (void)registered;
  const std::unique_ptr<cmark_parser, FreeParser> parser(cmark_parser_new(kOptions));
  for (const char* name : {"table", "strikethrough"})
    if (cmark_syntax_extension* extension = cmark_find_syntax_extension(name))
      cmark_parser_attach_syntax_extension(parser.get(), extension);
  cmark_parser_feed(parser.get(), markdown.data(), markdown.size());
  const std::unique_ptr<cmark_node, FreeNode> root(cmark_parser_finish(parser.get()));
  std::vector<cmark_node*> links, pictures, blocks, inlines;
  cmark_iter* iter = cmark_iter_new(root.get());
  for (cmark_event_type event = cmark_iter_next(iter); event != CMARK_EVENT_DONE; event = cmark_iter_next(iter)) {
    if (event != CMARK_EVENT_ENTER) continue;
    cmark_node* node = cmark_iter_get_node(iter);
    const auto type = cmark_node_get_type(node);
    if (type == CMARK_NODE_LINK) {
      const char* url = cmark_node_get_url(node);
      if (url == nullptr || !harmless(url) || (no_link && no_link(url))) links.push_back(node);
    } else if (type == CMARK_NODE_IMAGE) {
      pictures.push_back(node);
    } else if (type == CMARK_NODE_HTML_BLOCK) {
      blocks.push_back(node);
    } else if (type == CMARK_NODE_HTML_INLINE) {
      inlines.push_back(node);
    }
  }
  cmark_iter_free(iter);
  for (cmark_node* n : blocks) as_text(n, true);
  for (cmark_node* n : inlines) as_text(n, false);
  for (cmark_node* n : links) unwrap(n);
  for (cmark_node* n : pictures) unwrap(n);
  const std::unique_ptr<char, void (*)(void*)> html(
      cmark_render_html(root.get(), kOptions, cmark_parser_get_syntax_extensions(parser.get())), free);
  return html ? std::string(html.get()) : std::string();
}

std::string html_of_text(std::string_view text) {
  const std::string good = repair_utf8(text);
  std::string_view rest = good;
  std::string out;
  const auto escaped = [&](std::string_view words) {
    for (const char c : words) {
      if (c == '<') out += "&lt;";
      else if (c == '>') out += "&gt;";
      else if (c == '&') out += "&amp;";
      else if (c == '"') out += "&quot;";
      else if (static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\t') out += c;
    }
  };
  for (bool first = true;; first = false) {
    const auto end = std::min(rest.find('\f'), rest.size());
    std::string_view part = rest.substr(0, end);
    if (!first) {
      const auto line = std::min(part.find('\n'), part.size());
      if (line > 0) {
        out += "<h2>";
        escaped(part.substr(0, line));
        out += "</h2>\n";
      }
      part.remove_prefix(std::min(line + 1, part.size()));
    }
    const bool last = end == rest.size();
    if (!trim(part).empty() || (first && last)) {
      out += "<pre>";
      escaped(part);
      out += "</pre>\n";
    }
    if (last) return out;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace bavn::exchange
