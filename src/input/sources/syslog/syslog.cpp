#include "input/sources/syslog/syslog.hpp"

#include <array>
#include <utility>

#include "input/sources/syslog/framing.hpp"

namespace bavn::input::sources::syslog {

namespace {

class SyslogConversation final : public Conversation {
 public:
  explicit SyslogConversation(std::size_t max_message) : framer_(max_message) {}

  void on_bytes(std::string_view bytes, Intake& to) override {
    const std::uint64_t before = framer_.stats().too_long;
    framer_.feed(bytes, [&](std::string_view text) { to.message(0, text); });
    to.too_long(framer_.stats().too_long - before);
  }
  void on_closed(Intake& to) override {
    if (!framer_.finish([&](std::string_view text) { to.message(0, text); })) to.refused("message_cut_off", 1);
  }

 private:
  Framer framer_;
};

}  // namespace

Result<std::unique_ptr<Listener>> start_listener(Runtime& runtime, Sink& sink, SourceBook& book,
                                                 SyslogOptions options) {
  const auto begin = [max = options.max_message] { return std::make_unique<SyslogConversation>(max); };
  constexpr std::array kWays = {"udp", "tcp", "tls"};
  const char* way = kWays[std::to_underlying(options.transport)];
  return Listener::start(runtime, sink, book, std::move(options),
                         {"syslog", way, "tls_handshake_too_slow", false, begin});
}

}  // namespace bavn::input::sources::syslog
