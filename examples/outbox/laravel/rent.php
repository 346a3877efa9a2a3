<?php

/* An item is rented, and every page that shows it is told: both or neither. Here with Laravel's database component alone, so that it runs as it
 * stands: PGHOST, ITEM and PERSON say where and what. */

require getenv('ILLUMINATE') ?: 'Illuminate/Database/autoload.php'; // in an application: nothing of this, and DB:: instead of $database
require __DIR__ . '/Outbox.php';

$capsule = new Illuminate\Database\Capsule\Manager();
$capsule->addConnection(['driver' => 'pgsql', 'host' => getenv('PGHOST'), 'database' => 'postgres', 'username' => 'postgres', 'charset' => 'utf8']);
$database = $capsule->getConnection();

$database->transaction(function ($database) {
    $outbox = new Outbox($database);
    $person = getenv('PERSON');
    $item = $database->table('items')->where('id', (int) getenv('ITEM'))->lockForUpdate()->first();
    if ($item->status === 'rented') {
        throw new RuntimeException('it is rented already');
    }
    $changes = ['status' => 'rented', 'rented_by' => $person, 'version' => $item->version + 1];
    $database->table('items')->where('id', $item->id)->update($changes);
    $outbox->publishDataChange('Item', 'UPDATE', array_merge((array) $item, $changes), userId: $person, excludeUserId: $person);
    $outbox->publish('notification', ['userId' => 'warehouse', 'notification' => ['title' => 'To be fetched', 'message' => $item->name]]);
    if (getenv('FAIL')) {
        throw new RuntimeException('something went wrong at the end');
    }
});
