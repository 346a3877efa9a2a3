<?php

use Illuminate\Database\ConnectionInterface;

/** roomcast's outbox for Laravel on PostgreSQL: call these inside DB::transaction(), next to the change itself. */
final class Outbox
{
    private const FLAGS = JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES;

    /** In an application: new Outbox(DB::connection()). */
    public function __construct(private ConnectionInterface $database)
    {
    }

    /** $call: data-change, notification, system-notification, emit, ...; $body: what the HTTP call would have. Returns the row's id. */
    public function publish(string $call, array $body): string
    {
        return $this->database->selectOne('SELECT roomcast_publish(?, ?::text) AS id', [$call, json_encode($body, self::FLAGS)])->id;
    }

    public function publishDataChange(
        string $entityType,
        string $action,
        mixed $data,
        ?string $userId = null,
        ?string $excludeUserId = null,
        ?int $ifVersion = null
    ): string {
        return $this->database->selectOne(
            'SELECT roomcast_publish_data_change(?, ?, ?::text, ?::text, ?::text, ?::bigint) AS id',
            [$entityType, $action, json_encode($data, self::FLAGS), $userId, $excludeUserId, $ifVersion]
        )->id;
    }
}
