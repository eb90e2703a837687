#include "show/pages/pages.hpp"

#include <fmt/format.h>

#include <array>

#include "show/web/answers.hpp"

namespace bavn::show::pages {

namespace {

constexpr std::array kLanguages{std::pair(Language::da, "Dansk"), std::pair(Language::nb, "Norsk"),
                                std::pair(Language::en, "English")};

std::string paragraph(std::string_view text) {
  return fmt::format("<p>{}</p>\n", escape_html(text));
}

net::Reply accessibility(const Catalogue& texts, const net::Request& q) {
  const Language l = web::language_of(q);
  const auto say = [&](std::string_view key) {
    return escape_html(texts.say(l, fmt::format("pages.accessibility.{}", key)));
  };
  std::string main = fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", say("title"), say("lead"));
  for (const std::string_view part : {"status", "tested", "gaps", "contact", "law"}) {
    main +=
        fmt::format("<h2>{}</h2>\n<p>{}</p>\n", say(fmt::format("{}.title", part)), say(fmt::format("{}.text", part)));
    if (part == "gaps") {
      main += "<ul>\n";
      for (int n = 1; texts.has(fmt::format("pages.accessibility.gap.{}", n)); ++n)
        main += fmt::format("<li>{}</li>\n", say(fmt::format("gap.{}", n)));
      main += "</ul>\n";
    }
  }
  return page(texts, {l, texts.say(l, "pages.accessibility.title"), std::move(main), q.path});
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  return out;
}

net::Reply page(const Catalogue& texts, const PageParts& p, int status) {
  const auto say = [&](std::string_view key) { return escape_html(texts.say(p.language, key)); };
  std::string languages;
  if (!p.path.empty()) {
    languages = fmt::format("<nav aria-label=\"{}\"><ul class=\"languages\">", say("pages.language"));
    for (const auto& [language, name] : kLanguages)
      languages += fmt::format("<li><a href=\"{}?language={}\" lang=\"{}\" hreflang=\"{}\"{}>{}</a></li>",
                               escape_html(p.path), to_string(language), to_string(language), to_string(language),
                               language == p.language ? " aria-current=\"true\"" : "", name);
    languages += "</ul></nav>";
  }
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"{0}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<meta name=\"robots\" content=\"noindex\">\n<title>{1} - "
      "Bavn</title>\n"
      "<link rel=\"stylesheet\" href=\"/pages/page.css\">\n<link rel=\"icon\" href=\"/pages/beacon.svg\" "
      "type=\"image/svg+xml\">\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">{2}</a>\n<header class=\"top\"><a "
      "class=\"brand\" "
      "href=\"/\"><img src=\"/pages/beacon.svg\" alt=\"\"> Bavn</a>{3}</header>\n<main id=\"main\" tabindex=\"-1\">\n",
      to_string(p.language), escape_html(p.title), say("pages.skip"), languages);
  out += p.main;
  out += fmt::format(
      "</main>\n<footer class=\"bottom\"><ul><li><a "
      "href=\"/accessibility-statement?language={}\">{}</a></li></ul></footer>\n</body>\n</html>\n",
      to_string(p.language), say("pages.accessibility.title"));
  net::Reply reply = net::text(std::move(out), "text/html; charset=utf-8", status);
  reply.headers.set("Content-Language", std::string(to_string(p.language)));
  reply.headers.set("Vary", "Accept-Language");
  return reply;
}

net::Reply error_page(const Catalogue& texts, Language language, int status, const std::string& title,
                      const std::string& advice, const std::string& trace) {
  std::string main = fmt::format("<h1>{}</h1>\n", escape_html(title));
  if (!advice.empty()) main += fmt::format("<p class=\"lead\">{}</p>\n", escape_html(advice));
  main += fmt::format(
      "<p><a class=\"button\" href=\"/\">{}</a></p>\n<p class=\"soft\">{}</p>\n",
      escape_html(texts.say(language, "pages.error.home")),
      escape_html(texts.say(language, "pages.error.trace", {{"status", std::to_string(status)}, {"trace", trace}})));
  return page(texts, {language, title, std::move(main), {}}, status);
}

void add_routes(net::Router& router, const Catalogue& texts) {
  for (const std::string_view path : {"/accessibility-statement", "/tilgaengelighed", "/tilgjengelighet"})
    router.get(std::string(path), net::Needs::anyone,
               [&texts](const net::Request& q) { return accessibility(texts, q); });
  router.get("/problems/{name}", net::Needs::anyone, [&texts](const net::Request& q) {
    const Language l = web::language_of(q);
    std::string key = "problem." + std::string(q.param("name"));
    for (char& c : key)
      if (c == '-') c = '_';
    if (!texts.has(key + ".title")) return net::problem({Code::not_found, "there is no problem of this name", {}});
    const std::string title = texts.say(l, key + ".title");
    return page(texts,
                {l, title, fmt::format("<h1>{}</h1>\n", escape_html(title)) + paragraph(texts.say(l, key + ".advice")),
                 q.path});
  });
}

}  // namespace bavn::show::pages
