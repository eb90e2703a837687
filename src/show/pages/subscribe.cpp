#include "show/pages/subscribe.hpp"

#include <fmt/format.h>

#include "base/text.hpp"
#include "exchange/subscribers/subscribers.hpp"
#include "show/pages/pages.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::pages {

namespace {

constexpr std::int64_t kAsksAMinute = 5;  // of one address: an office behind one subscribes in the course of a morning

net::Reply private_page(net::Reply reply) {
  reply.headers.set("Referrer-Policy", "no-referrer");  // the link is a secret of one person
  return reply;
}

}  // namespace

SubscribeDesk::SubscribeDesk(Runtime& runtime, exchange::Subscribers& subscribers, const Catalogue& texts,
                             std::string name, std::chrono::seconds confirm)
    : subscribers_(subscribers),
      texts_(texts),
      name_(std::move(name)),
      hours_(std::to_string(std::chrono::duration_cast<std::chrono::hours>(confirm).count())),
      limits_(runtime) {}

void SubscribeDesk::add_routes(net::Router& router) {
  net::RouteOptions small;
  small.max_body = 16U << 10U;
  for (const std::string_view path : {"/subscribe", "/abonner"})
    router.get(std::string(path), net::Needs::anyone, [this, path](const net::Request& q) {
      Language l = web::language_of(q);
      // The word is the same in Danish and Norwegian: whoever reads neither by their browser's word gets Danish.
      if (!q.asked("language") && path == "/abonner" && l == Language::en) l = Language::da;
      return form(l, {}, {}, 200);
    });
  router.post("/subscribe", net::Needs::anyone, [this](const net::Request& q) { return take(q); }, small);
  router.get("/subscribe/sent", net::Needs::anyone, [this](const net::Request& q) {
    const Language l = web::language_of(q);
    return page(texts_, {l, texts_.say(l, "pages.subscribe.sent.title"),
                         fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", say(l, "pages.subscribe.sent.title"),
                                     say(l, "pages.subscribe.sent.text")),
                         "/subscribe/sent"});
  });
  router.get("/subscribe/confirm/{token}", net::Needs::anyone,
             [this](const net::Request& q) { return question(q, "confirm"); });
  router.post(
      "/subscribe/confirm/{token}", net::Needs::anyone,
      [this](const net::Request& q) {
        const auto done = subscribers_.confirm(q.param("token"));
        if (!done && done.error().code != Code::forbidden && done.error().code != Code::unavailable &&
            done.error().code != Code::conflict)
          return net::problem(done.error());
        const bool full = !done && done.error().code == Code::unavailable;
        return said(web::language_of(q), "confirm",
                    done   ? "done"
                    : full ? "full"
                           : "wrong",
                    done   ? 200
                    : full ? 503
                           : 403,
                    !done && !full);
      },
      small);
  router.get("/subscribe/end/{token}", net::Needs::anyone,
             [this](const net::Request& q) { return question(q, "end"); });
  router.post(
      "/subscribe/end/{token}", net::Needs::anyone,
      [this](const net::Request& q) {
        const auto done = subscribers_.end(q.param("token"));
        return done ? said(web::language_of(q), "end", "done", 200, false) : net::problem(done.error());
      },
      small);
}

std::string SubscribeDesk::say(Language l, std::string_view key) const {
  return escape_html(texts_.say(l, key, {{"name", name_}, {"hours", hours_}, {"url", "/bulletins.atom"}}));
}

net::Reply SubscribeDesk::form(Language l, std::string_view address, std::string_view fault, int status) const {
  const auto text = [&](std::string_view key) { return say(l, fmt::format("pages.subscribe.{}", key)); };
  if (!subscribers_.open_to_all())
    return page(
        texts_,
        {l, texts_.say(l, "pages.subscribe.off.title"),
         fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", text("off.title"), text("off.text")), "/subscribe"},
        404);
  std::string main = fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", text("title"), text("lead"));
  const bool of_address = fault == "address";
  if (of_address)
    main += fmt::format(
        "<div class=\"card warning\" role=\"alert\" tabindex=\"-1\"><h2>{}</h2><ul>\n<li><a "
        "href=\"#address\">{}</a></li>\n</ul></div>\n",
        text("fault.title"), text("fault.address"));
  else if (!fault.empty())
    main += fmt::format("<div class=\"card warning\" role=\"alert\"><h2>{}</h2></div>\n",
                        text(fmt::format("fault.{}", fault)));
  main += fmt::format(
      "<form method=\"post\" action=\"/subscribe?language={}\" accept-charset=\"utf-8\">\n<div class=\"field\"><label "
      "for=\"address\">{}</label>\n<span class=\"hint\" id=\"address-hint\">{}</span>\n",
      to_string(l), text("address"), text("address.hint"));
  if (of_address) main += fmt::format("<span class=\"fault\" id=\"address-fault\">{}</span>\n", text("fault.address"));
  main += fmt::format(
      "<input id=\"address\" name=\"address\" type=\"email\" maxlength=\"254\" autocomplete=\"email\" required "
      "value=\"{}\" aria-describedby=\"address-hint{}\"{}></div>\n<fieldset class=\"field\"><legend>{}</legend>\n",
      escape_html(address), of_address ? " address-fault" : "", of_address ? " aria-invalid=\"true\"" : "",
      text("language"));
  for (const Language each : {Language::da, Language::nb, Language::en})
    main +=
        fmt::format("<label class=\"choice\"><input type=\"radio\" name=\"wanted\" value=\"{}\"{}> {}</label>\n",
                    to_string(each), each == l ? " checked" : "", text(fmt::format("language.{}", to_string(each))));
  main += fmt::format("</fieldset>\n<p class=\"soft\">{}</p>\n<button type=\"submit\">{}</button>\n</form>\n",
                      text("privacy"), text("send"));
  return page(texts_, {l, texts_.say(l, "pages.subscribe.title"), std::move(main), "/subscribe"}, status);
}

net::Reply SubscribeDesk::take(const net::Request& q) {
  const Language l = web::language_of(q);
  const auto sent = net::request_for(net::Method::post, fmt::format("/?{}", q.body));  // a form is written like a query
  const std::string address = sent ? repair_utf8(sent->asked("address").value_or("").substr(0, 254)) : std::string();
  const auto wanted = sent ? language_of(sent->asked("wanted").value_or("")) : std::nullopt;
  if (!limits_.take(q.peer.address, kAsksAMinute).allowed) {
    net::Reply reply = form(l, address, "many", 429);
    reply.headers.set("Retry-After", "60");
    return reply;
  }
  const auto asked = subscribers_.ask(address, wanted.value_or(l));
  if (!asked && asked.error().code == Code::bad_input) return form(l, address, "address", 422);
  if (!asked && asked.error().code == Code::unavailable) {
    net::Reply reply = form(l, address, "many", 503);
    reply.headers.set("Retry-After", "3600");
    return reply;
  }
  if (!asked) return net::problem(asked.error());
  net::Reply reply;
  reply.status = 303;
  reply.headers.set("Location", fmt::format("/subscribe/sent?language={}", to_string(l)));
  return reply;
}

net::Reply SubscribeDesk::question(const net::Request& q, std::string_view what) const {
  const Language l = web::language_of(q);
  const auto text = [&](std::string_view key) { return say(l, fmt::format("pages.subscribe.{}.{}", what, key)); };
  const std::string here =
      fmt::format("/subscribe/{}/{}", what, net::percent_encoded(std::string(q.param("token").substr(0, 100))));
  return private_page(page(
      texts_,
      {l, texts_.say(l, fmt::format("pages.subscribe.{}.title", what)),
       fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<form method=\"post\" action=\"{}?language={}\"><button "
                   "type=\"submit\">{}</button></form>\n",
                   text("title"), text("question"), escape_html(here), to_string(l), text("button")),
       here}));
}

net::Reply SubscribeDesk::said(Language l, std::string_view what, std::string_view key, int status,
                               bool ask_again) const {
  std::string main =
      fmt::format("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", say(l, fmt::format("pages.subscribe.{}.title", what)),
                  say(l, fmt::format("pages.subscribe.{}.{}", what, key)));
  if (ask_again)
    main += fmt::format("<p><a class=\"button\" href=\"/subscribe?language={}\">{}</a></p>\n", to_string(l),
                        say(l, "pages.subscribe.confirm.again"));
  return private_page(
      page(texts_, {l, texts_.say(l, fmt::format("pages.subscribe.{}.title", what)), std::move(main), {}}, status));
}

}  // namespace bavn::show::pages
