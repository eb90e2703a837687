#include "notify/mail.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include "base/encoding.hpp"
#include "base/local_time.hpp"
#include "base/text.hpp"

namespace bavn::notify {

namespace {

/// RFC 2047: words of at most 75 characters, never cut inside a character.
std::string encoded_header(std::string_view text) {
  std::string out;
  constexpr std::size_t kBytes = 42;  // 56 characters of base64 and 12 around them
  while (!text.empty()) {
    std::size_t size = 0;
    for (std::uint32_t ignored = 0; size < text.size();) {
      const auto step = std::max<std::size_t>(1, decode_utf8(text, size, ignored));
      if (size + step > kBytes) break;
      size += step;
    }
    out += fmt::format("{}=?UTF-8?B?{}?=", out.empty() ? "" : "\r\n ", to_base64(text.substr(0, size)));
    text.remove_prefix(size);
  }
  return out;
}

std::string date_of(Instant now) {
  static constexpr const char* kDays[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(now - day));
  return fmt::format("{}, {} {} {} {:02}:{:02}:{:02} +0000", kDays[std::chrono::weekday(day).iso_encoding() - 1],
                     static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), time.hours().count(), time.minutes().count(),
                     time.seconds().count());
}

struct Exchange {
  std::string_view left;  // of the message
  std::string answer;     // the server's last line
};

std::size_t give(char* into, std::size_t size, std::size_t count, void* at) {
  auto& exchange = *static_cast<Exchange*>(at);
  const std::size_t n = std::min(size * count, exchange.left.size());
  std::copy_n(exchange.left.data(), n, into);
  exchange.left.remove_prefix(n);
  return n;
}

std::size_t take(const char* from, std::size_t size, std::size_t count, void* at) {
  const std::string_view line(from, size * count);
  // The goodbye after QUIT is not the answer to the mail.
  if (!line.starts_with("221")) static_cast<Exchange*>(at)->answer = trim(line.substr(0, 300));
  return size * count;
}

class Smtp final : public MailCarrier {
 public:
  Smtp(Runtime& runtime, SmtpOptions options, Secret<std::string> password)
      : runtime_(runtime),
        options_(std::move(options)),
        password_(std::move(password)),
        own_(runtime.queue({.name = "smtp", .threads = 1, .limit = 1000})) {}

  void send(Mail mail, QueueId queue, std::move_only_function<void(Result<std::string>)> then) override {
    auto shared = std::make_shared<std::move_only_function<void(Result<std::string>)>>(std::move(then));
    const bool posted = runtime_.post(own_, [this, mail = std::move(mail), queue, shared] {
      auto result = deliver(mail);
      (void)runtime_.after(Duration{0}, queue,
                           [shared, result = std::move(result)]() mutable { (*shared)(std::move(result)); });
    });
    if (!posted)
      (void)runtime_.after(Duration{0}, queue,
                           [shared] { (*shared)(fail(Code::unavailable, "too many mails wait for the mail server")); });
  }

 private:
  /// Waits for the server: the queue has nothing else to do.
  Result<std::string> deliver(const Mail& mail) {
    const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), [](CURL* c) { curl_easy_cleanup(c); });
    BAVN_ASSERT(curl != nullptr);
    const std::string text = message_text(mail, options_.from, runtime_.now());
    Exchange exchange{text, {}};
    const std::string url =
        fmt::format("{}://{}:{}/{}", options_.tls == MailTls::tls ? "smtps" : "smtp", options_.host, options_.port,
                    "bavn");  // the path is our name in EHLO
    curl_slist* recipients = curl_slist_append(nullptr, fmt::format("<{}>", mail.to).c_str());
    const std::unique_ptr<curl_slist, void (*)(curl_slist*)> keep(recipients,
                                                                  [](curl_slist* l) { curl_slist_free_all(l); });
    CURL* c = curl.get();
    curl_easy_setopt(c, CURLOPT_URL, url.c_str());
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, static_cast<long>(options_.timeout.count()));
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 15L);
    curl_easy_setopt(c, CURLOPT_USE_SSL,
                     static_cast<long>(options_.tls == MailTls::none ? CURLUSESSL_NONE : CURLUSESSL_ALL));
    if (!options_.ca_file.empty()) curl_easy_setopt(c, CURLOPT_CAINFO, options_.ca_file.c_str());
    if (!options_.user.empty()) {
      curl_easy_setopt(c, CURLOPT_USERNAME, options_.user.c_str());
      password_.reveal([&](const std::string& p) { curl_easy_setopt(c, CURLOPT_PASSWORD, p.c_str()); });
    }
    curl_easy_setopt(c, CURLOPT_MAIL_FROM, fmt::format("<{}>", options_.from).c_str());
    curl_easy_setopt(c, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, &give);
    curl_easy_setopt(c, CURLOPT_READDATA, &exchange);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, &take);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, &exchange);
    const CURLcode done = curl_easy_perform(c);
    if (done == CURLE_OK) return exchange.answer;
    return fail(Code::unavailable,
                fmt::format("the mail server {}:{} did not take the mail: {}{}", options_.host, options_.port,
                            curl_easy_strerror(done),
                            exchange.answer.empty() ? "" : " (it said: " + repair_utf8(exchange.answer) + ")"));
  }

  Runtime& runtime_;
  SmtpOptions options_;
  Secret<std::string> password_;
  QueueId own_;
};

/// Printable ASCII alone: a header ends where its line ends, whatever stands in it.
std::string more_headers(std::string_view lines) {
  std::string out;
  for (const std::string_view line : split(lines, '\n')) {
    if (line.find(": ") == std::string_view::npos || line.size() > 900) continue;
    for (const char c : line)
      if (c >= ' ' && c < 0x7f) out += c;
    out += "\r\n";
  }
  return out;
}

bool one_address(std::string_view address) {
  const auto at = address.find('@');
  return at != 0 && at != std::string_view::npos && at + 1 < address.size() &&
         address.find_first_of(" \r\n<>,;\"") == std::string_view::npos;
}

}  // namespace

std::string message_text(const Mail& mail, std::string_view from, Instant now) {
  std::string text = fmt::format(
      "From: Bavn <{}>\r\nTo: <{}>\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{}@{}>\r\n{}MIME-Version: 1.0\r\n"
      "Auto-Submitted: auto-generated\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "base64\r\n\r\n",
      from, mail.to, encoded_header(mail.subject), date_of(now), mail.id, from.substr(from.find('@') + 1),
      more_headers(mail.headers));
  std::string body;
  for (const char c : mail.text) body += c == '\n' ? std::string("\r\n") : std::string(1, c);
  const std::string encoded = to_base64(body);
  for (std::size_t i = 0; i < encoded.size(); i += 76) text.append(encoded, i, 76).append("\r\n");
  return text;
}

Result<std::unique_ptr<MailCarrier>> smtp_carrier(Runtime& runtime, SmtpOptions options, Secret<std::string> password) {
  if (options.host.empty() || options.host.find_first_of("/@: \r\n") != std::string::npos)
    return fail(Code::bad_input, fmt::format("\"{}\" is not the name of a mail server", options.host));
  if (!one_address(options.from))
    return fail(Code::bad_input, fmt::format("\"{}\" is not a sender's mail address", options.from));
  const bool here = options.host == "localhost" || options.host.starts_with("127.");
  if (options.tls == MailTls::none && !here && !options.user.empty())
    return fail(Code::bad_input,
                "a login without TLS would send the password in the clear: set notify.smtp_tls to starttls or tls");
  return std::make_unique<Smtp>(runtime, std::move(options), std::move(password));
}

}  // namespace bavn::notify
