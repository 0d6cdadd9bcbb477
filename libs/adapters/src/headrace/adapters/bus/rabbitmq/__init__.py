"""The bus on RabbitMQ: quorum queues, confirmed publishes, consumers that come back by themselves."""

from headrace.adapters.bus.rabbitmq.bus import RabbitBus, open_rabbit_bus

__all__ = ["RabbitBus", "open_rabbit_bus"]
