#pragma once
// Pages that work without script and in any browser: for employees, and for whoever meets an error. One style sheet: /pages/page.css.
// Life: routes keep references to the texts. Thread rules: any thread.
#include <string>
#include <string_view>

#include "base/catalogue.hpp"
#include "net/http.hpp"

namespace bavn::show::pages {

std::string escape_html(std::string_view text);

struct PageParts {
  Language language = Language::en;
  std::string title;  // plain text
  std::string main;   // HTML: what is foreign in it was escaped by its maker
  std::string path;   // of this page, for the choice of language; empty: no choice is offered
};
/// A whole page with head, the choice of language and the way to the accessibility statement.
net::Reply page(const Catalogue& texts, const PageParts& parts, int status = 200);

net::Reply error_page(const Catalogue& texts, Language language, int status, const std::string& title,
                      const std::string& advice, const std::string& trace);

/// /accessibility-statement, and the same under its Danish and Norwegian names; /problems/{name}: what a problem's type means.
void add_routes(net::Router& router, const Catalogue& texts);

}  // namespace bavn::show::pages
