// The pages of signing in, made here: they work without script but for passkeys, which need the one small file sign-in.js.
#include "show/pages/pages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/content.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"
#include "show/auth/inner.hpp"
#include "show/auth/totp.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::auth {

namespace {

using pages::escape_html;

struct LinkRow {
  std::int64_t id;
  std::string kind;
  std::optional<PersonId> person;
  Instant ends_at_us;
  std::optional<Instant> used_at_us;
};
BOOST_DESCRIBE_STRUCT(LinkRow, (), (id, kind, person, ends_at_us, used_at_us))

struct CodePerson {
  PersonId id;
  std::string name;
};
BOOST_DESCRIBE_STRUCT(CodePerson, (), (id, name))

struct ProviderLabel {
  std::int64_t id;
  std::string label;
};
BOOST_DESCRIBE_STRUCT(ProviderLabel, (), (id, label))

constexpr std::array kTroubles{"over", "provider", "unknown", "denied", "another", "tries", "proof", "code", "closed"};

/// A path of ours and nothing else: what a browser makes of "/\" or "//" is another site.
std::string safe_next(std::string_view next) {
  if (next.size() > 500 || !next.starts_with('/') || next.starts_with("//")) return "/";
  for (const char c : next) {
    const char l = ascii_lower(c);
    if (!((l >= 'a' && l <= 'z') || ascii_digit(c) ||
          std::string_view("/-_.~?=&%+,:#").find(c) != std::string_view::npos))
      return "/";
  }
  return next.starts_with("/sign-in") ? "/" : std::string(next);
}

net::Reply see_other(std::string to) {
  net::Reply reply;
  reply.status = 303;
  reply.headers.set("Location", std::move(to));
  reply.headers.set("Cache-Control", "no-store");
  return reply;
}

std::string_view of(const std::map<std::string, std::string, std::less<>>& form, std::string_view name) {
  const auto at = form.find(name);
  return at == form.end() ? std::string_view() : std::string_view(at->second);
}

/// Says things of the page in the reader's language, safe inside HTML.
class Words {
 public:
  Words(const Catalogue& texts, Language language) : texts_(texts), language_(language) {}
  Language language() const { return language_; }
  std::string plain(std::string_view key, Catalogue::Values values = {}) const {
    return texts_.say(language_, fmt::format("sign_in.{}", key), values);
  }
  std::string operator()(std::string_view key, Catalogue::Values values = {}) const {
    return escape_html(plain(key, values));
  }
  net::Reply page(std::string title, std::string main, std::string path, int status = 200) const {
    net::Reply reply = pages::page(texts_, {language_, std::move(title), std::move(main), std::move(path)}, status);
    reply.headers.set("Cache-Control", "no-store");
    reply.headers.set("Referrer-Policy", "no-referrer");
    return reply;
  }

 private:
  const Catalogue& texts_;
  Language language_;
};

std::string passkey_button(const Words& w, std::string_view kind, std::string_view next, bool second) {
  // Until the script is there it cannot be pressed; without script the note below it says why.
  return fmt::format(
      "<button type=\"button\" id=\"passkey\" disabled data-passkey=\"{}\" data-next=\"{}\" data-waiting=\"{}\" "
      "data-cancelled=\"{}\" data-already=\"{}\" "
      "data-cannot=\"{}\" aria-describedby=\"passkey-note\"{}>{}</button>\n<p id=\"passkey-note\" class=\"hint\" "
      "role=\"status\">{}</p>\n"
      "<noscript><p class=\"fault\">{}</p></noscript>\n<script src=\"/sign-in/sign-in.js\" defer></script>\n",
      kind, escape_html(next), w("passkey.waiting"), w("passkey.cancelled"), w("passkey.already"), w("passkey.cannot"),
      second ? " class=\"second\"" : "", w(kind == "register" ? "set_up.passkey.button" : "passkey.button"),
      w("passkey.hint"), w("passkey.no_script"));
}

}  // namespace

void Identity::Inner::add_pages(net::Router& router) {
  // A person's own language comes first, then the browser's.
  const auto words = [this](const net::Request& q, const Standing* s = nullptr) {
    const auto own = s == nullptr || q.asked("language") ? std::nullopt : language_of(s->person.language);
    return Words(texts, own ? *own : web::language_of(q));
  };
  const auto providers_here = [this](MunicipalityId of, bool every) {
    return state.read([&](store::Reader& db) {
      return db.all<ProviderLabel>(
          "SELECT id, label FROM identity_provider WHERE :every = 1 OR municipality = :m ORDER BY label, id",
          {{"every", every}, {"m", of}});
    });
  };
  const auto link_of = [this](std::string_view secret) -> Result<std::optional<LinkRow>> {
    if (secret.empty() || secret.size() > 100) return std::optional<LinkRow>();
    return state.read([&](store::Reader& db) {
      return db.one<LinkRow>("SELECT id, kind, person, ends_at_us, used_at_us FROM one_time_link WHERE secret = :s",
                             {{"s", hash_of(secret)}});
    });
  };
  const auto link_trouble = [this](const Words& w, const std::optional<LinkRow>& link) -> std::optional<net::Reply> {
    const std::string_view key = !link                               ? "unknown"
                                 : link->used_at_us                  ? "used"
                                 : link->ends_at_us <= runtime.now() ? "expired"
                                                                     : "";
    if (key.empty()) return std::nullopt;
    return w.page(
        w.plain(fmt::format("link.{}.title", key)),
        fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<p><a class=\"button\" href=\"/sign-in\">{}</a></p>\n",
                    w(fmt::format("link.{}.title", key)), w(fmt::format("link.{}.text", key)), w("link.to_sign_in")),
        {}, key == "unknown" ? 404 : 410);
  };
  const auto foreign = [](const Words& w) {
    return w.page(w.plain("trouble.foreign"),
                  fmt::format("<h1>{}</h1>\n<p><a class=\"button\" href=\"/sign-in\">{}</a></p>\n",
                              w("trouble.foreign"), w("link.to_sign_in")),
                  {}, 403);
  };

  router.get("/sign-in/sign-in.js", net::Needs::anyone, [](const net::Request&) {
    net::Reply reply = net::text(std::string(content::file("content/pages/sign-in.js").value_or("")),
                                 "text/javascript; charset=utf-8");
    reply.headers.set("Cache-Control", "no-cache");
    return reply;
  });

  router.get("/sign-in", net::Needs::anyone, [this, words, providers_here](const net::Request& q) -> net::Reply {
    // A passkey belongs to a name, never to an address: whoever came to 127.0.0.1 goes on at localhost.
    if (const auto* host = q.headers.find("Host");
        host != nullptr && site().starts_with("http://localhost") && !host->starts_with("localhost"))
      return see_other(site() + "/sign-in");
    const std::string trouble(q.asked("trouble").value_or(""));
    const std::string next = safe_next(q.asked("next").value_or("/"));
    const auto session = session_of(q);
    if (!session) return net::problem(session.error());
    if (*session && trouble.empty()) {
      const auto s = standing((*session)->person);
      if (s && !s->person.left)
        return see_other((*session)->demonstration || s->can_return() ? next : "/sign-in/set-up");
    }
    const Words w = words(q);
    const auto all = providers_here({}, true);
    if (!all) return net::problem(all.error());
    const auto codes = state.read(
        [&](store::Reader& db) { return db.number("SELECT count(*) FROM totp WHERE confirmed_at_us IS NOT NULL"); });
    if (!codes) return net::problem(codes.error());
    std::string main = fmt::format("<h1>{}</h1>\n", w("to", {{"name", options.name}}));
    if (std::find(kTroubles.begin(), kTroubles.end(), trouble) != kTroubles.end())
      main += fmt::format("<div class=\"card warning\" role=\"alert\"><p>{}</p></div>\n", w("trouble." + trouble));
    else if (q.asked("said") == "out")
      main += fmt::format("<div class=\"card\" role=\"status\"><p>{}</p></div>\n", w("said.out"));
    main += fmt::format("<section class=\"card\"><h2>{}</h2>\n{}</section>\n", w("passkey.title"),
                        passkey_button(w, "sign_in", next, false));
    if (!all->empty()) {
      main += fmt::format("<section class=\"card\"><h2>{}</h2>\n<ul class=\"ways\">", w("provider.title"));
      for (const auto& p : *all)
        main += fmt::format("<li><a class=\"button second\" href=\"/sign-in/provider/{}\">{}</a></li>", p.id,
                            w("provider.button", {{"label", p.label}}));
      main += "</ul></section>\n";
    }
    if (*codes > 0)
      main += fmt::format(
          "<section class=\"card\"><h2>{}</h2>\n<form method=\"post\" action=\"/sign-in/code\"><input type=\"hidden\" "
          "name=\"next\" value=\"{}\">"
          "<div class=\"field\"><label for=\"name\">{}</label><input id=\"name\" name=\"name\" "
          "autocomplete=\"username\" maxlength=\"200\" required></div>"
          "<div class=\"field\"><label for=\"code\">{}</label><input id=\"code\" name=\"code\" inputmode=\"numeric\" "
          "autocomplete=\"one-time-code\" pattern=\"[0-9 ]*\" "
          "maxlength=\"7\" required></div><button class=\"second\">{}</button></form></section>\n",
          w("code.title"), escape_html(next), w("code.name"), w("code.digits"), w("code.button"));
    main += fmt::format("<p class=\"soft\">{}</p>\n", w("help"));
    return w.page(w.plain("title"), std::move(main), "/sign-in");
  });

  router.post("/sign-in/code", net::Needs::anyone, [this, words, foreign](const net::Request& q) -> net::Reply {
    if (!same_site(q)) return foreign(words(q));
    const auto form = form_of(q);
    const std::string bucket = address_bucket(q);
    const auto many = too_many(bucket, limits.address_tries);
    if (!many) return net::problem(many.error());
    if (*many) return see_other("/sign-in?trouble=tries");
    const std::string wanted = to_lower_utf8(trim(of(form, "name")));
    const auto all = state.read([&](store::Reader& db) {
      return db.all<CodePerson>(
          "SELECT p.id, p.name FROM totp t JOIN person p ON p.id = t.person WHERE t.confirmed_at_us IS NOT NULL AND "
          "p.left_at_us IS NULL");
    });
    if (!all) return net::problem(all.error());
    std::string digits;
    for (const char c : of(form, "code"))
      if (ascii_digit(c)) digits += c;
    std::string_view trouble = "code";
    for (const auto& each : *all) {
      if (to_lower_utf8(trim(each.name)) != wanted) continue;
      const auto s = standing(each.id);
      if (!s || s->strong()) continue;  // a role that grew: codes are not enough any more
      const auto used = use_code(each.id, digits, false);
      if (!used) {
        if (used.error().where == "/tries") trouble = "tries";
        if (used.error().where == "/closed") trouble = "closed";
        continue;
      }
      Begun begun;
      if (const auto ok = state.write_now([&](store::Tx& tx) -> Result<void> {
            BAVN_TRY(begun, begin(tx, q, each.id, Method::code, true));
            return {};
          });
          !ok)
        return net::problem(ok.error());
      return with_cookie(see_other(safe_next(of(form, "next"))), begun.cookie);
    }
    note_miss(bucket,
              {"nobody", "sign_in.refused", "code", fmt::format("{{\"address\":{}}}", net::to_json(q.peer.address))});
    return see_other(fmt::format("/sign-in?trouble={}", trouble));
  });

  // A link is only shown by GET: what looks into mail before people do must not use it up.
  const auto first_form = [this](const Words& w, std::string_view secret, std::string_view name, std::string_view title,
                                 std::string_view fault) {
    std::string languages;
    for (const auto& [code, label] : {std::pair("da", "Dansk"), std::pair("nb", "Norsk"), std::pair("en", "English")})
      languages += fmt::format("<option value=\"{}\"{}>{}</option>", code,
                               to_string(w.language()) == code ? " selected" : "", label);
    return w.page(w.plain("first.title"),
                  fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n{}<form method=\"post\" "
                              "action=\"/sign-in/link\"><input type=\"hidden\" name=\"c\" value=\"{}\">"
                              "<div class=\"field\"><label for=\"name\">{}</label><input id=\"name\" name=\"name\" "
                              "autocomplete=\"name\" maxlength=\"200\" required value=\"{}\"{}></div>"
                              "<div class=\"field\"><label for=\"title\">{}</label><input id=\"title\" name=\"title\" "
                              "autocomplete=\"organization-title\" maxlength=\"200\" value=\"{}\"></div>"
                              "<div class=\"field\"><label for=\"language\">{}</label><select id=\"language\" "
                              "name=\"language\">{}</select></div>"
                              "<button>{}</button></form>\n",
                              w("first.title"), w("first.text", {{"name", options.name}}),
                              fault.empty() ? ""
                                            : fmt::format("<p class=\"fault\" role=\"alert\" id=\"fault\">{}</p>\n",
                                                          escape_html(fault)),
                              escape_html(secret), w("first.name"), escape_html(name),
                              fault.empty() ? "" : " aria-invalid=\"true\" aria-describedby=\"fault\"", w("first.job"),
                              escape_html(title), w("first.language"), languages, w("first.button")),
                  {}, fault.empty() ? 200 : 422);
  };
  router.get(
      "/sign-in/link", net::Needs::anyone,
      [this, words, link_of, link_trouble, first_form](const net::Request& q) -> net::Reply {
        const std::string secret(q.asked("c").value_or(""));
        const auto link = link_of(secret);
        if (!link) return net::problem(link.error());
        if (auto no = link_trouble(words(q), *link)) return std::move(*no);
        if (!(*link)->person) return first_form(words(q), secret, "", "", "");
        const auto s = standing(*(*link)->person);
        if (!s) return net::problem(s.error());
        const Words w = words(q, &*s);
        const std::string_view text = (*link)->kind == "demonstration" ? "link.demonstration" : "link.text";
        return w.page(
            w.plain("link.title", {{"name", s->person.name}}),
            fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<form method=\"post\" action=\"/sign-in/link\"><input "
                        "type=\"hidden\" name=\"c\" value=\"{}\"><button>{}</button></form>\n"
                        "<p class=\"soft\">{}</p>\n",
                        w("link.title", {{"name", s->person.name}}), w(text, {{"name", options.name}}),
                        escape_html(secret), w("link.button"), w("link.not_you", {{"name", s->person.name}})),
            {});
      });
  router.post(
      "/sign-in/link", net::Needs::anyone,
      [this, words, foreign, link_of, link_trouble, first_form](const net::Request& q) -> net::Reply {
        const Words w = words(q);
        if (!same_site(q)) return foreign(w);
        const std::string bucket = address_bucket(q);
        const auto many = too_many(bucket, limits.address_tries);
        if (!many) return net::problem(many.error());
        if (*many) return see_other("/sign-in?trouble=tries");
        const auto form = form_of(q);
        const std::string secret(of(form, "c"));
        const auto link = link_of(secret);
        if (!link) return net::problem(link.error());
        if (auto no = link_trouble(w, *link)) {
          if (!*link)
            note_miss(bucket, {"nobody", "sign_in.refused", "link",
                               fmt::format("{{\"address\":{}}}", net::to_json(q.peer.address))});
          return std::move(*no);
        }
        std::optional<PersonId> person = (*link)->person;
        const bool first = !person;
        if (first) {
          const auto owner = event::Scope::local_owner();
          const auto added = people.add(owner, {options.municipality, std::string(of(form, "name")),
                                                std::string(of(form, "title")), std::string(of(form, "language"))});
          if (!added) {
            if (added.error().code == Code::unavailable) return net::problem(added.error());
            return first_form(w, secret, of(form, "name"), of(form, "title"),
                              w.plain(added.error().code == Code::conflict ? "first.there" : "first.fault"));
          }
          person = *added;
          const auto role = options.serves == Serves::hub ? tenants::Role::duty_lead : tenants::Role::municipal_it;
          if (const auto given = people.give_role(owner, *added, role); !given) return net::problem(given.error());
        }
        Begun begun;
        bool fresh = true;
        const auto used = state.write_now([&](store::Tx& tx) -> Result<void> {
          BAVN_TRY(const auto n,
                   tx.exec("UPDATE one_time_link SET used_at_us = :now WHERE id = :id AND used_at_us IS NULL",
                           {{"now", tx.now()}, {"id", (*link)->id}}));
          if (n == 0) {
            fresh = false;
            return {};
          }
          BAVN_CHECK(tx.audit({person_subject(*person), "link.used", person_subject(*person),
                               fmt::format("{{\"link\":{},\"kind\":\"{}\",\"address\":{}}}", (*link)->id, (*link)->kind,
                                           net::to_json(q.peer.address))}));
          BAVN_TRY(begun, begin(tx, q, *person, Method::link, true, (*link)->kind == "demonstration"));
          return {};
        });
        if (!used) return net::problem(used.error());
        if (!fresh) {
          if (first)
            (void)people.leave(event::Scope::local_owner(), *person);  // two used it at once: this one was too late
          LinkRow late = **link;
          late.used_at_us = runtime.now();
          return std::move(*link_trouble(w, late));
        }
        const auto s = standing(*person);
        const bool enter = (*link)->kind == "demonstration" || (s && s->can_return());
        return with_cookie(see_other(enter ? "/" : "/sign-in/set-up"), begun.cookie);
      });

  router.get("/sign-in/set-up", net::Needs::anyone, [this, words, providers_here](const net::Request& q) -> net::Reply {
    auto at = here(q);
    const auto* h = std::get_if<Here>(&at);
    if (h == nullptr) return see_other("/sign-in?trouble=over");
    const auto& s = h->standing;
    // Who can return shows first who is there; a link is proof of its own for a few minutes.
    if (s.can_return() && !proved(h->session, runtime.now())) return see_other("/");
    const Words w = words(q, &s);
    std::string main = fmt::format(
        "<h1>{}</h1>\n", w(s.can_return() ? "set_up.again.title" : "set_up.title", {{"name", s.person.name}}));
    const bool second = s.wants_two_keys() && s.passkeys == 1;
    main += fmt::format("<p class=\"lead\">{}</p>\n", second ? w("set_up.second")
                                                      : s.can_return()
                                                          ? w("set_up.again.text")
                                                          : w(s.strong() ? "set_up.text_strong" : "set_up.text"));
    if (s.can_return()) main += fmt::format("<p><a class=\"button\" href=\"/\">{}</a></p>\n", w("set_up.go_on"));
    main += fmt::format(
        "<section class=\"card\"><h2>{}</h2>\n<p>{}</p>\n<div class=\"field\"><label "
        "for=\"passkey-name\">{}</label><input id=\"passkey-name\" maxlength=\"80\" "
        "autocomplete=\"off\"><span class=\"hint\">{}</span></div>\n{}</section>\n",
        w("passkey.title"), w("set_up.passkey.text"), w("set_up.passkey.name"), w("set_up.passkey.name_hint"),
        passkey_button(w, "register", "/sign-in/set-up", s.can_return()));
    const auto all =
        providers_here(s.person.municipality, s.person.municipality.value == 0 && options.serves == Serves::hub);
    if (all && !all->empty() && !s.provider) {
      main += fmt::format("<section class=\"card\"><h2>{}</h2>\n<p>{}</p>\n<ul class=\"ways\">", w("provider.title"),
                          w("set_up.provider"));
      for (const auto& p : *all)
        main += fmt::format("<li><a class=\"button second\" href=\"/sign-in/provider/{}?for=bind\">{}</a></li>", p.id,
                            w("set_up.provider.button", {{"label", p.label}}));
      main += "</ul></section>\n";
    }
    if (!s.strong() && !s.code)
      main += fmt::format(
          "<section class=\"card\"><h2>{}</h2>\n<p>{}</p>\n<form method=\"post\" "
          "action=\"/sign-in/set-up/code\"><button class=\"second\">{}</button></form></section>\n",
          w("code.title"), w("set_up.code"), w("set_up.code.button"));
    return w.page(w.plain("set_up.title", {{"name", s.person.name}}), std::move(main), "/sign-in/set-up");
  });
  router.post("/sign-in/set-up/code", net::Needs::anyone, [this, words, foreign](const net::Request& q) -> net::Reply {
    if (!same_site(q)) return foreign(words(q));
    auto at = here(q);
    const auto* h = std::get_if<Here>(&at);
    if (h == nullptr) return see_other("/sign-in?trouble=over");
    if (h->standing.strong() || (h->standing.can_return() && !proved(h->session, runtime.now())))
      return see_other("/sign-in/set-up");
    const auto secret = new_code_secret(h->session.person);
    if (!secret) return net::problem(secret.error());
    return see_other("/sign-in/set-up/code");
  });
  router.get("/sign-in/set-up/code", net::Needs::anyone, [this, words](const net::Request& q) -> net::Reply {
    auto at = here(q);
    const auto* h = std::get_if<Here>(&at);
    if (h == nullptr) return see_other("/sign-in?trouble=over");
    const auto secret = unconfirmed_code_secret(h->session.person);
    if (!secret) return net::problem(secret.error());
    // The secret is shown to who has just proved who they are, and never again once it signs in.
    if (!*secret || !proved(h->session, runtime.now())) return see_other("/sign-in/set-up");
    const Words w = words(q, &h->standing);
    const std::string text = totp_secret_text(**secret);
    std::string grouped;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i > 0 && i % 4 == 0) grouped += ' ';
      grouped += text[i];
    }
    const std::string wrong = q.asked("wrong")
                                  ? fmt::format("<p class=\"fault\" role=\"alert\" id=\"fault\">{}</p>",
                                                w(q.asked("wrong") == "tries" ? "trouble.tries" : "trouble.code"))
                                  : "";
    return w.page(
        w.plain("set_up.code.title"),
        fmt::format("<h1>{}</h1>\n<ol>\n<li>{}</li>\n<li>{}<pre>{}</pre><a "
                    "href=\"{}\">{}</a></li>\n<li>{}</li>\n</ol>\n{}<form method=\"post\" "
                    "action=\"/sign-in/set-up/code/confirm\">"
                    "<div class=\"field\"><label for=\"code\">{}</label><input id=\"code\" name=\"code\" "
                    "inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"7\" required{}></div>"
                    "<button>{}</button></form>\n",
                    w("set_up.code.title"), w("set_up.code.step_1"), w("set_up.code.step_2"), grouped,
                    escape_html(totp_uri(**secret, "Bavn " + options.name, h->standing.person.name)),
                    w("set_up.code.open"), w("set_up.code.step_3"), wrong, w("code.digits"),
                    wrong.empty() ? "" : " aria-invalid=\"true\" aria-describedby=\"fault\"", w("set_up.code.confirm")),
        "/sign-in/set-up/code", wrong.empty() ? 200 : 422);
  });
  router.post(
      "/sign-in/set-up/code/confirm", net::Needs::anyone, [this, words, foreign](const net::Request& q) -> net::Reply {
        if (!same_site(q)) return foreign(words(q));
        auto at = here(q);
        const auto* h = std::get_if<Here>(&at);
        if (h == nullptr) return see_other("/sign-in?trouble=over");
        if (h->standing.strong()) return see_other("/sign-in/set-up");
        std::string digits;
        const auto form = form_of(q);
        for (const char c : of(form, "code"))
          if (ascii_digit(c)) digits += c;
        if (const auto used = use_code(h->session.person, digits, true); !used)
          return see_other(
              fmt::format("/sign-in/set-up/code?wrong={}", used.error().where == "/tries" ? "tries" : "code"));
        std::string cookie;
        const auto kept = state.write_now([&](store::Tx& tx) -> Result<void> {
          BAVN_TRY(cookie, rotate(tx, h->session.id));
          return tx.audit({person_subject(h->session.person), "code.added", person_subject(h->session.person), "{}"});
        });
        return kept ? with_cookie(see_other("/"), cookie) : net::problem(kept.error());
      });

  router.post("/sign-out", net::Needs::anyone, [this, words, foreign](const net::Request& q) -> net::Reply {
    if (!same_site(q)) return foreign(words(q));
    const auto session = session_of(q);
    if (!session) return net::problem(session.error());
    if (*session) {
      const auto done = state.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(tx.exec("DELETE FROM web_session WHERE id = :id", {{"id", (*session)->id}}));
        return tx.audit(
            {person_subject((*session)->person), "session.ended", fmt::format("session:{}", (*session)->id), "{}"});
      });
      if (!done) return net::problem(done.error());
      tell_ended(person_subject((*session)->person));
    }
    return with_cookie(see_other("/sign-in?said=out"), no_cookie());
  });
}

}  // namespace bavn::show::auth
